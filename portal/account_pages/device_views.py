"""The device authorization grant: what a program asks (RFC 8628), and the page where a person answers."""

from __future__ import annotations

from http import HTTPStatus

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST

from portal import rates
from portal.account_pages.forms import TokenForm
from portal.accounts import device_sign_in
from portal.accounts.access import signed_in
from portal.accounts.device_sign_in import Allowed, Refusal
from portal.accounts.models import ApiToken, DeviceSignIn, all_scopes

CLIENT = "flowertune"
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"
# Programs from one address; entries of codes by one person. A code is one of 20⁸ and lives for minutes.
BEGINNINGS = "20/hour"
ENTRIES = "30/hour"
_SAID = {
    Refusal.PENDING: "Nobody has answered yet.",
    Refusal.SLOW_DOWN: "Ask less often.",
    Refusal.DENIED: "The sign-in was refused on the site.",
    Refusal.EXPIRED: "The code is too old. Begin anew.",
    Refusal.INVALID: "The code is not known, or was used.",
}


@csrf_exempt
@require_POST
@never_cache
def authorization(request: HttpRequest) -> JsonResponse:
    """Give a program its two codes. `device_name` is this site's own addition: where the program runs."""
    if request.POST.get("client_id") != CLIENT:
        return _error("invalid_client", f"The client_id of the command line is {CLIENT}.")
    scopes = request.POST.get("scope", "").split()
    if not set(scopes) <= set(ApiToken.Scope.values):
        return _error("invalid_scope", f"There are the scopes {', '.join(ApiToken.Scope.values)}.")
    hit = rates.hit(BEGINNINGS, "device-begin", rates.address_of(request))
    if not hit.is_allowed:
        answer = _error("slow_down", "Too many sign-ins were begun from your address.")
        answer.status_code, answer["Retry-After"] = HTTPStatus.TOO_MANY_REQUESTS, str(hit.reset)
        return answer
    name = request.POST.get("device_name", "")[:60]
    begun = device_sign_in.begin(name if name.isprintable() else "", scopes or all_scopes())
    code = device_sign_in.shown(begun.sign_in.user_code)
    page = request.build_absolute_uri(reverse("accounts:device"))
    return JsonResponse(
        {
            "device_code": begun.device_code,
            "user_code": code,
            "verification_uri": page,
            "verification_uri_complete": f"{page}?code={code}",
            "expires_in": int(device_sign_in.LIFETIME.total_seconds()),
            "interval": begun.sign_in.interval,
        }
    )


@csrf_exempt
@require_POST
@never_cache
def token(request: HttpRequest) -> JsonResponse:
    """Give a program that a person allowed its token, once."""
    if request.POST.get("grant_type") != GRANT_TYPE:
        return _error("unsupported_grant_type", f"There is {GRANT_TYPE}.")
    outcome = device_sign_in.redeem(request.POST.get("device_code", ""))
    if isinstance(outcome, Refusal):
        return _error(outcome, _SAID[outcome])
    made, secret = outcome
    return JsonResponse({"access_token": secret, "token_type": "Bearer", "scope": " ".join(made.scopes)})


def _error(code: str, description: str) -> JsonResponse:
    """As RFC 6749, section 5.2, wants them."""
    return JsonResponse({"error": code, "error_description": description}, status=HTTPStatus.BAD_REQUEST)


@login_required
@require_http_methods(["GET", "POST"])
@never_cache
def device(request: HttpRequest) -> HttpResponse:
    """Ask for the code that the program shows, say what it would get, and hear the answer."""
    user, code = signed_in(request), request.POST.get("code") or request.GET.get("code") or ""
    if not code:
        return _page(request, code)
    if not rates.hit(ENTRIES, "device-code", str(user.pk)).is_allowed:
        return render(request, "429.html", status=HTTPStatus.TOO_MANY_REQUESTS)
    sign_in = device_sign_in.waiting(code)
    if sign_in is None:
        return _page(request, code, is_unknown=True)
    answer = request.POST.get("answer")
    if answer == "refuse":
        return _refused(request, sign_in)
    asked = {"name": _name(sign_in), "scopes": sign_in.scopes}
    form = TokenForm(request.POST if answer else None, initial=asked, user=user)
    if not answer or not form.is_valid():
        return _page(request, code, sign_in=sign_in, form=form)
    data = form.cleaned_data
    if not device_sign_in.allow(sign_in, user, Allowed(data["name"], data["scopes"], form.expires_at())):
        return _page(request, code, is_unknown=True)
    said = f"“{data['name']}” is signed in and goes on by itself in a few seconds. You may close this page."
    messages.success(request, said)
    return redirect("accounts:tokens")


def _refused(request: HttpRequest, sign_in: DeviceSignIn) -> HttpResponse:
    device_sign_in.refuse(sign_in)
    messages.success(request, "The program was refused; it gets nothing.")
    return redirect("accounts:tokens")


def _name(sign_in: DeviceSignIn) -> str:
    return f"{CLIENT} on {sign_in.device_name}"[:60] if sign_in.device_name else CLIENT


def _page(
    request: HttpRequest,
    code: str,
    *,
    is_unknown: bool = False,
    sign_in: DeviceSignIn | None = None,
    form: TokenForm | None = None,
) -> HttpResponse:
    context = {
        "code": device_sign_in.shown(sign_in.user_code) if sign_in else code,
        "is_unknown": is_unknown,
        "sign_in": sign_in,
        "form": form,
        "section": "account",
    }
    is_refused = is_unknown or bool(form and form.errors)
    return render(request, "portal/accounts/device.html", context, status=422 if is_refused else 200)
