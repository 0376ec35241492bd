"""Pages on which people ask something of the reviewers."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from portal.accounts.access import signed_in
from portal.review import entry_requests
from portal.review.forms import ClaimForm
from portal.submissions.models import Submission


@login_required
@require_http_methods(["GET", "POST"])
def claim(request: HttpRequest, pk: int) -> HttpResponse:
    """Say that an entry taken over from another board is one's own, and see what came of it."""
    user = signed_in(request)
    imported = Submission.objects.filter(kind=Submission.Kind.IMPORTED, status=Submission.Status.PUBLISHED)
    submission = get_object_or_404(imported.select_related("team", "base_model"), pk=pk)
    form = ClaimForm(request.POST if request.method == "POST" else None, user=user)
    if request.method == "POST" and form.is_valid():
        try:
            entry_requests.claim(user=user, submission=submission, **form.cleaned_data)
        except entry_requests.RequestRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, "The reviewers are told. Their answer will stand on this page.")
            return redirect("review:claim", pk=pk)
    own = user.entry_requests.filter(submission=submission).select_related("team")
    context = {
        "form": form,
        "submission": submission,
        "own": own,
        "is_open": any(asked.state == entry_requests.State.OPEN for asked in own),
        "section": "boards",
    }
    status = 422 if form.is_bound and form.errors else 200
    return render(request, "portal/review/claim.html", context, status=status)
