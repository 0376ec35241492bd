"""The pages about e-mails and webhooks. A team's webhooks are its owners' affair."""

from __future__ import annotations

import json

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from portal.accounts.access import signed_in
from portal.accounts.models import Membership
from portal.notifications import services
from portal.notifications.forms import ChangedWebhookForm, EmailForm, NewWebhookForm
from portal.notifications.models import Delivery, Webhook
from portal.notifications.services import NotificationRefused

DELIVERIES_A_PAGE = 20


@login_required
@require_http_methods(["GET", "POST"])
@never_cache
def preferences(request: HttpRequest) -> HttpResponse:
    user = signed_in(request)
    is_reviewer = user.acts_as_staff and user.has_perm("review.decide")
    initial = EmailForm.initial_of(services.preferences_of(user))
    form = EmailForm(request.POST or None, initial=initial, is_reviewer=is_reviewer)
    if request.method == "POST":
        # A form without a single tick is a choice too, and has no value but the token.
        form = EmailForm(request.POST, is_reviewer=is_reviewer)
        if form.is_valid():
            services.set_preferences(
                user=user, muted=form.muted(), whole_team=form.cleaned_data["whole_team"]
            )
            messages.success(request, "Your choice is saved.")
            return redirect("notifications:settings")
    context = {"form": form, "webhooks": _own_webhooks(request), "section": "account"}
    return render(request, "portal/notifications/settings.html", context, status=422 if form.errors else 200)


@login_required
@require_http_methods(["GET", "POST"])
@never_cache
def new_webhook(request: HttpRequest) -> HttpResponse:
    """The form, and after it the new webhook with its secret, on this answer alone."""
    user = signed_in(request)
    form = NewWebhookForm(request.POST or None, user=user, initial={"team": request.GET.get("team", "")})
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            webhook, secret = services.add_webhook(team=data["team"], url=data["url"], events=data["events"])
        except NotificationRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            return _webhook_page(request, webhook, secret=secret)
    context = {"form": form, "section": "account"}
    return render(
        request, "portal/notifications/new_webhook.html", context, status=422 if form.errors else 200
    )


@login_required
@require_http_methods(["GET", "POST"])
@never_cache
def webhook(request: HttpRequest, pk: int) -> HttpResponse:
    """One webhook: its settings and what was delivered."""
    webhook = _own_webhook(request, pk)
    if request.method == "GET":
        return _webhook_page(request, webhook)
    form = ChangedWebhookForm(request.POST)
    if not form.is_valid():
        return _webhook_page(request, webhook, form=form)
    services.change_webhook(webhook, **form.cleaned_data)
    messages.success(request, "The webhook is saved.")
    return redirect("notifications:webhook", pk)


@login_required
@require_POST
def test(request: HttpRequest, pk: int) -> HttpResponse:
    webhook = _own_webhook(request, pk)
    try:
        services.send_test(webhook)
    except NotificationRefused as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, "A test is on its way. Reload this page to see how it went.")
    return redirect("notifications:webhook", pk)


@login_required
@require_POST
@never_cache
def secret(request: HttpRequest, pk: int) -> HttpResponse:
    webhook = _own_webhook(request, pk)
    return _webhook_page(request, webhook, secret=services.renew_secret(webhook))


@login_required
@require_http_methods(["GET", "POST"])
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    webhook = _own_webhook(request, pk)
    if request.method == "GET":
        context = {"webhook": webhook, "section": "account"}
        return render(request, "portal/notifications/delete_webhook.html", context)
    webhook.delete()
    messages.success(request, f"The webhook {webhook.url} is deleted.")
    return redirect("notifications:settings")


@login_required
@require_GET
@never_cache
def delivery(request: HttpRequest, pk: int) -> HttpResponse:
    """One delivery with the body that was sent."""
    delivery = _own_delivery(request, pk)
    context = {
        "delivery": delivery,
        "webhook": delivery.webhook,
        "payload": json.dumps(delivery.notification.payload, indent=2, ensure_ascii=False),
        "section": "account",
    }
    return render(request, "portal/notifications/delivery.html", context)


@login_required
@require_POST
def redeliver(request: HttpRequest, pk: int) -> HttpResponse:
    delivery = _own_delivery(request, pk)
    try:
        again = services.redeliver(delivery)
    except NotificationRefused as refusal:
        messages.error(request, str(refusal))
        return redirect("notifications:delivery", pk)
    messages.success(request, "It is on its way again. Reload this page to see how it went.")
    return redirect("notifications:delivery", again.pk)


def _webhook_page(
    request: HttpRequest, webhook: Webhook, *, form: ChangedWebhookForm | None = None, secret: str = ""
) -> HttpResponse:
    deliveries = webhook.deliveries.select_related("notification", "notification__submission")
    context = {
        "webhook": webhook,
        "form": form or ChangedWebhookForm(initial=ChangedWebhookForm.initial_of(webhook)),
        "secret": secret,
        "page_obj": Paginator(deliveries, DELIVERIES_A_PAGE).get_page(request.GET.get("page")),
        "section": "account",
    }
    return render(request, "portal/notifications/webhook.html", context, status=422 if form else 200)


def _own_webhooks(request: HttpRequest) -> QuerySet[Webhook]:
    """Those of the teams that the user owns."""
    return Webhook.objects.filter(
        team__memberships__user=signed_in(request), team__memberships__role=Membership.Role.OWNER
    ).select_related("team")


def _own_webhook(request: HttpRequest, pk: int) -> Webhook:
    return get_object_or_404(_own_webhooks(request), pk=pk)


def _own_delivery(request: HttpRequest, pk: int) -> Delivery:
    deliveries = Delivery.objects.filter(webhook__in=_own_webhooks(request))
    return get_object_or_404(deliveries.select_related("webhook", "notification"), pk=pk)
