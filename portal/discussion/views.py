"""Takes messages; the pages that show a thread are the submission's and the reviewers' own."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from portal.accounts.access import sees_all, signed_in
from portal.discussion import services
from portal.submissions.models import Submission


@login_required
@require_POST
def post(request: HttpRequest, pk: int) -> HttpResponse:
    """Add a message to a submission's thread and go back to the page that it was written on.

    What was refused is given back with the reason, so that nothing written is lost.
    """
    user = signed_in(request)
    allowed = Submission.objects.all() if sees_all(user) else Submission.objects.of_member(user)
    submission = get_object_or_404(allowed.select_related("team"), pk=pk)
    back = request.POST.get("back", "")
    if not url_has_allowed_host_and_scheme(back, allowed_hosts=None):
        back = submission.get_absolute_url()
    is_note = bool(request.POST.get("note"))
    try:
        services.post(submission=submission, author=user, text=request.POST.get("text", ""), is_note=is_note)
    except services.MessageRefused as refusal:
        context = {
            "thread": services.thread_of(submission, user),
            "refusal": str(refusal),
            "text": request.POST.get("text", ""),
            "back": back,
            "section": "mine",
        }
        return render(request, "portal/discussion/refused.html", context, status=422)
    messages.success(request, "The note is kept." if is_note else "The message is sent.")
    return HttpResponseRedirect(f"{back}#messages")
