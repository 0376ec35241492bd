"""The studies' pages: for everybody to read and take along, for staff to plan, start and go on with."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from portal.accounts.access import sees_all, signed_in, trains_here
from portal.baselines.studies import services
from portal.baselines.studies.estimates import estimate
from portal.baselines.studies.exports import FORMATS
from portal.baselines.studies.forms import StudyForm, initial_of, known_plans
from portal.baselines.studies.planning import StudyRefused, check, on_site
from portal.baselines.studies.study_page import shown
from portal.baselines.studies.table import Table, summary_of, table_of
from portal.baselines.views import for_staff
from portal.runs.models import Study

STUDIES_A_PAGE = 20


@require_GET
@never_cache
def studies(request: HttpRequest) -> HttpResponse:
    page = Paginator(Study.objects.all(), STUDIES_A_PAGE).get_page(request.GET.get("page"))
    tables = [summary_of(study, sees_all=sees_all(request.user)) for study in page]
    return render(
        request, "portal/studies/list.html", {"page_obj": page, "tables": tables, "section": "baselines"}
    )


@for_staff
@require_http_methods(["GET", "POST"])
@never_cache
def new(request: HttpRequest) -> HttpResponse:
    """Plan a study: what it would take is said before it starts."""
    if request.method == "GET":
        form = StudyForm(initial=initial_of(request.GET.get("plan", "")))
        return _form_page(request, form)
    form = StudyForm(request.POST)
    if not form.is_valid():
        return _form_page(request, form, status=422)
    try:
        text = form.plan()
        planned = on_site(text)
        found = check(planned)
        if request.POST.get("action") == "check":
            return _form_page(request, form, text=text, estimate=estimate(planned), findings=found)
        study = services.start(text, requester=signed_in(request), priority=form.cleaned_data["priority"])
    except StudyRefused as refusal:
        for problem in refusal.problems:
            form.add_error(None, f"{problem[0].upper()}{problem[1:]}")
        return _form_page(request, form, status=422)
    messages.success(request, "Started. Its runs train as workers are free.")
    return redirect(study)


@require_GET
@never_cache
def study(request: HttpRequest, pk: int) -> HttpResponse:
    return render(request, "portal/studies/study.html", _context(request, pk))


@require_GET
@never_cache
def live(request: HttpRequest, pk: int) -> HttpResponse:
    """The part of a study's page that changes; it asks for itself again while runs are under way."""
    return render(request, "portal/studies/_live.html", _context(request, pk))


@require_GET
@never_cache
def export(request: HttpRequest, pk: int, name: str) -> HttpResponse:
    """The study as a file, with the scores that the reader may see."""
    if name not in FORMATS:
        raise Http404
    wanted = FORMATS[name]
    text = wanted.write(_table(request, get_object_or_404(Study, pk=pk)))
    file_name = f"study-{pk}.{name}"
    headers = {"Content-Disposition": f'attachment; filename="{file_name}"'}
    return HttpResponse(text, content_type=wanted.content_type, headers=headers)


@for_staff
@require_POST
def again(request: HttpRequest, pk: int) -> HttpResponse:
    """Run what failed or was cancelled again: of one cell, or of all."""
    study = get_object_or_404(Study, pk=pk)
    cell = request.POST.get("cell", "")
    try:
        number = int(cell) if cell.isdecimal() else None
        queued = services.run_again(study, requester=signed_in(request), cell=number)
    except StudyRefused as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, f"{queued} run{'s are' if queued != 1 else ' is'} queued again.")
    return redirect(study)


@for_staff
@require_POST
def stop(request: HttpRequest, pk: int) -> HttpResponse:
    """Cancel what is queued or running; what is done stays."""
    study = get_object_or_404(Study, pk=pk)
    cancelled = services.stop(study, by=signed_in(request))
    messages.success(request, f"{cancelled} run{'s are' if cancelled != 1 else ' is'} cancelled.")
    return redirect(study)


@for_staff
@require_POST
def priority(request: HttpRequest, pk: int) -> HttpResponse:
    study = get_object_or_404(Study, pk=pk)
    try:
        services.set_priority(study, int(request.POST.get("priority", "")))
    except (StudyRefused, ValueError):
        messages.error(request, "The priority is a number from -100 to 100.")
    else:
        messages.success(request, "What is still queued waits by the new priority.")
    return redirect(study)


def _table(request: HttpRequest, study: Study) -> Table:
    return table_of(study, sees_all=sees_all(request.user))


def _context(request: HttpRequest, pk: int) -> dict[str, Any]:
    table = _table(request, get_object_or_404(Study, pk=pk))
    return {
        "study": table.study,
        "shown": shown(table),
        "formats": FORMATS.values(),
        "is_staff": trains_here(request.user),
        "section": "baselines",
    }


def _form_page(request: HttpRequest, form: StudyForm, *, status: int = 200, **more: Any) -> HttpResponse:
    context = {"form": form, "plans": known_plans(), "section": "baselines", **more}
    return render(request, "portal/studies/new.html", context, status=status)
