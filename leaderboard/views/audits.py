"""Which entries were drawn for audits, by which seeds, and what came of them."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from portal.review.audits import history_before, in_words
from portal.review.models import AuditDraw
from portal.submissions.models import Submission

DRAWS_A_PAGE = 12


@require_safe
def audits(request: HttpRequest) -> HttpResponse:
    found = AuditDraw.objects.prefetch_related("audits__submission")
    page = Paginator(found, DRAWS_A_PAGE).get_page(request.GET.get("page"))
    draws = [(draw, [(audit, in_words(audit)) for audit in draw.audits.all()]) for draw in page]
    context = {"draws": draws, "page_obj": page, "public": Submission.PUBLIC}
    return render(request, "leaderboard/audits.html", context)


@require_safe
def history(request: HttpRequest, year: int, month: int) -> HttpResponse:
    """The lines whose SHA-256 is the head of a month's draw."""
    return _text(request, history_before(_draw(year, month).month))


@require_safe
def population(request: HttpRequest, year: int, month: int) -> HttpResponse:
    """The numbers of the entries that could be drawn, a line each."""
    return _text(request, "".join(f"{number}\n" for number in _draw(year, month).population))


def _draw(year: int, month: int) -> AuditDraw:
    """Raises Http404."""
    if not (1 <= month <= 12 and 1 <= year <= 9999):
        raise Http404("no such month")
    return get_object_or_404(AuditDraw, month__year=year, month__month=month)


def _text(request: HttpRequest, text: str) -> HttpResponse:
    return HttpResponse("" if request.method == "HEAD" else text, content_type="text/plain; charset=utf-8")
