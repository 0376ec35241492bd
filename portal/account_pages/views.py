"""A person's own account: profile, API tokens, their data, and deleting it."""

from __future__ import annotations

from allauth.account.adapter import get_adapter
from allauth.account.forms import ReauthenticateForm
from allauth.account.internal.flows.reauthentication import raise_if_reauthentication_required
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import content_disposition_header
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from portal.account_pages.closing import ClosingRefused, close, leaving
from portal.account_pages.forms import ClosingForm, ProfileForm, TokenForm
from portal.account_pages.own_data import own_data
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
    form = TokenForm(request.POST or None, user=user)
    secret = None
    if request.method == "POST" and form.is_valid():
        _, secret = ApiToken.issue(
            user=user,
            name=form.cleaned_data["name"],
            scopes=form.cleaned_data["scopes"],
            expires_at=form.expires_at(),
        )
        form = TokenForm(user=user)
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


@login_required
@require_GET
@never_cache
def data(request: HttpRequest) -> HttpResponse:
    """What one may take along, and the way to delete the account."""
    return render(request, "portal/accounts/data.html", {"section": "account"})


@login_required
@require_GET
@never_cache
def download(request: HttpRequest) -> HttpResponse:
    user = signed_in(request)
    headers = {"Content-Disposition": content_disposition_header(True, f"{user.username}.json") or ""}
    return HttpResponse(own_data(user), content_type="application/json", headers=headers)


@login_required
@require_http_methods(["GET", "POST"])
@never_cache
def delete(request: HttpRequest) -> HttpResponse:
    """Say what goes and what stays, and delete the account for who gives its password.

    Who has none, because another site signs them in, gives their second factor if there is one, and the name.
    """
    user = signed_in(request)
    if not user.has_usable_password():
        raise_if_reauthentication_required(request, app="account")
    asked = ReauthenticateForm if user.has_usable_password() else ClosingForm
    form = asked(request.POST or None, user=user)
    if request.method == "POST" and form.is_valid():
        username, address = user.username, user.email
        try:
            close(user)
        except ClosingRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            logout(request)
            if address:
                get_adapter().send_notification_mail(
                    "account/email/account_deleted", user, {"username": username}, email=address
                )
            messages.success(request, "Your account is deleted.")
            return redirect("home")
    context = {"form": form, "leaving": leaving(user), "section": "account"}
    return render(request, "portal/accounts/delete.html", context, status=422 if form.errors else 200)
