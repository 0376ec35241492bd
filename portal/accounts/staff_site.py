"""The administration: open to staff with a second factor, without a sign-in of its own."""

from __future__ import annotations

from typing import Any

from allauth.account.utils import get_next_redirect_url
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache

from portal.accounts.access import acts_as_staff


class StaffSite(AdminSite):
    site_header = site_title = "FlowerTune Leaderboard"

    def has_permission(self, request: HttpRequest) -> bool:
        return request.user.is_active and acts_as_staff(request.user)

    @method_decorator(never_cache)
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Lead to the public sign-in, with its limits, or to what a signed-in user lacks."""
        wanted = get_next_redirect_url(request) or reverse("admin:index")
        if self.has_permission(request):
            return redirect(wanted)
        if not request.user.is_authenticated:
            return redirect_to_login(wanted)
        if not request.user.is_staff:
            raise PermissionDenied("The administration is for this site's staff.")
        messages.warning(
            request, "Staff need a second factor to sign in. Set one up here; then the administration opens."
        )
        return redirect("mfa_index")

    def password_change(  # type: ignore[override]  # Django's view answers with a page of its own
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return redirect("account_change_password")
