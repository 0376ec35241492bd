"""A person's own account: profile and API tokens."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from portal.account_pages.forms import ProfileForm, TokenForm
from portal.accounts.access import signed_in
from portal.accounts.models import ApiToken, User
from portal.submissions.models import Submission


@login_required
@require_http_methods(["GET", "POST"])
@never_cache
def profile(request: HttpRequest) -> HttpResponse:
    """What others may see of a person, and what they published."""
    user = signed_in(request)
    form = ProfileForm(request.POST or None, instance=User.objects.get(pk=user.pk))
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, "Your profile is saved.")
        return redirect("accounts:profile")
    entries = Submission.objects.filter(submitter=user, status=Submission.Status.PUBLISHED)
    context = {
        "form": form,
        "memberships": user.memberships.select_related("team").order_by("team__name"),
        "entries": entries.select_related("team", "base_model"),
        "section": "account",
    }
    return render(request, "portal/accounts/profile.html", context, status=422 if form.errors else 200)


@login_required
@require_http_methods(["GET", "POST"])
@never_cache
def tokens(request: HttpRequest) -> HttpResponse:
    """List the tokens and make a new one, whose secret stands on this answer alone."""
    user = signed_in(request)
    form = TokenForm(request.POST or None)
    secret = None
    if request.method == "POST" and form.is_valid():
        _, secret = ApiToken.issue(
            user=user,
            name=form.cleaned_data["name"],
            scopes=form.cleaned_data["scopes"],
            expires_at=form.expires_at(),
        )
        form = TokenForm()
    context = {"form": form, "secret": secret, "tokens": user.api_tokens.all(), "section": "account"}
    return render(request, "portal/accounts/tokens.html", context, status=422 if form.errors else 200)


@login_required
@require_POST
def revoke(request: HttpRequest, pk: int) -> HttpResponse:
    token = get_object_or_404(ApiToken, pk=pk, user=signed_in(request))
    token.revoke()
    messages.success(
        request, f"The token “{token.name}” is revoked. Programs that use it are refused from now on."
    )
    return redirect("accounts:tokens")
