"""The operator's page, and a page for each order with what follows from it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from portal.accounts.access import operates_here, signed_in
from portal.control.models import Act
from portal.control.orders import Operator, OrderRefused
from portal.operate.forms import ORDERS
from portal.operate.overview import overview

P = ParamSpec("P")


def operators_only(
    view: Callable[Concatenate[HttpRequest, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """Leads who is not signed in to the sign-in, and staff to the second factor that they lack; 403 for
    everybody else."""

    @login_required
    @never_cache
    @wraps(view)
    def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        user = signed_in(request)
        if operates_here(user):
            return view(request, *args, **kwargs)
        if user.is_staff and not user.acts_as_staff:
            messages.warning(request, "Operators need a second factor. Set one up here; then the page opens.")
            return redirect("mfa_index")
        raise PermissionDenied("The operator's page is for this site's operators.")

    return guarded


@operators_only
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    return render(request, "portal/operate/index.html", {"seen": overview()})


@operators_only
@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """The part of the page that asks for itself again."""
    return render(request, "portal/operate/_live.html", {"seen": overview()})


@operators_only
@require_http_methods(["GET", "POST"])
def order(request: HttpRequest, name: str) -> HttpResponse:
    """Say what follows from an order, ask for the reason, and give it."""
    kind = ORDERS.get(name)
    if kind is None:
        raise Http404(f"there is no order {name}")
    form = kind(request.POST) if request.method == "POST" else kind(initial=request.GET.dict())
    if form.is_bound and form.is_valid():
        try:
            said = form.give(Operator(signed_in(request), Act.Via.PAGE))
        except OrderRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, said)
            return redirect("operate:index")
    status = 422 if form.errors else 200
    return render(request, "portal/operate/order.html", {"form": form}, status=status)
