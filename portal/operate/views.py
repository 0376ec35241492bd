"""The operator's page, and a page for each order with what follows from it."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from portal.accounts.access import operates_here, signed_in
from portal.accounts.staff_pages import for_staff_who
from portal.control.models import Act
from portal.control.orders import Operator, OrderRefused
from portal.operate.forms import ORDERS
from portal.operate.overview import acts, overview
from portal.operate.overview import live as seen_now

PAGE_SIZE = 100

operators_only = for_staff_who(
    operates_here,
    without_second_factor="Operators need a second factor. Set one up here; then the page opens.",
    refused="The operator's page is for this site's operators.",
)


@operators_only
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    return render(request, "portal/operate/index.html", {"seen": overview()})


@operators_only
@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """The part of the page that asks for itself again."""
    return render(request, "portal/operate/_live.html", {"seen": seen_now()})


@operators_only
@require_safe
def record(request: HttpRequest) -> HttpResponse:
    """All that operators ever did."""
    page = Paginator(acts(), PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "portal/operate/record.html", {"page_obj": page})


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
