"""The guard of pages that are for staff with a certain right."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache

from portal.accounts.access import signed_in
from portal.accounts.models import User

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]


def for_staff_who(
    may: Callable[[User], bool], *, without_second_factor: str, refused: str
) -> Callable[[View[P]], View[P]]:
    """Leads who is not signed in to the sign-in, and staff to the second factor that they lack; 403 for
    everybody else who `may` not. The texts say why."""

    def guard(view: View[P]) -> View[P]:
        @login_required
        @never_cache
        @wraps(view)
        def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            user = signed_in(request)
            if may(user):
                return view(request, *args, **kwargs)
            if user.is_staff and not user.acts_as_staff:
                messages.warning(request, without_second_factor)
                return redirect("mfa_index")
            raise PermissionDenied(refused)

        return guarded

    return guard
