"""Of what people and other programs wait for: reviews, requests, notifications and the public log."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Count, Min, Q
from django.utils import timezone
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from portal.notifications.models import Delivery, Webhook
from portal.review import waiting
from portal.review.models import EntryRequest
from portal.transparency import reading, stating

RECENT = timedelta(days=1)


def read() -> Iterator[Metric]:
    yield from _reviews()
    yield from _notifications()
    yield from _log()


def _reviews() -> Iterator[Metric]:
    cases = GaugeMetricFamily("flowertune_cases_waiting", "Cases that a reviewer can act on now")
    cases.add_metric([], waiting.waiting().count())
    asked = GaugeMetricFamily(
        "flowertune_open_requests", "Requests about entries without an answer", labels=["kind"]
    )
    found = dict(
        EntryRequest.objects.filter(state=EntryRequest.State.OPEN)
        .order_by()
        .values_list("kind")
        .annotate(Count("pk"))
    )
    for kind in EntryRequest.Kind.values:
        asked.add_metric([kind], found.get(kind, 0))
    yield from (cases, asked)


def _notifications() -> Iterator[Metric]:
    to_deliver = GaugeMetricFamily(
        "flowertune_deliveries_waiting", "Notifications that are not delivered yet", labels=["by"]
    )
    due = GaugeMetricFamily(
        "flowertune_oldest_delivery_timestamp_seconds",
        "When the oldest of them was made",
        labels=["by"],
    )
    failed = GaugeMetricFamily(
        "flowertune_deliveries_failed", "Notifications given up within a day", labels=["by"]
    )
    is_waiting = Q(status__in=[Delivery.Status.WAITING, Delivery.Status.RUNNING])
    is_failed = Q(status=Delivery.Status.FAILED, attempted_at__gt=timezone.now() - RECENT)
    for by, is_webhook in (("webhook", True), ("mail", False)):
        found = Delivery.objects.filter(is_waiting | is_failed, webhook__isnull=not is_webhook).aggregate(
            waiting=Count("pk", filter=is_waiting),
            failed=Count("pk", filter=is_failed),
            oldest=Min("created_at", filter=is_waiting),
        )
        to_deliver.add_metric([by], found["waiting"])
        failed.add_metric([by], found["failed"])
        if found["oldest"] is not None:
            due.add_metric([by], found["oldest"].timestamp())
    failing = GaugeMetricFamily("flowertune_webhooks_failing", "Webhooks whose last delivery failed")
    failing.add_metric([], Webhook.objects.filter(active=True, failing_since__isnull=False).count())
    yield from (to_deliver, due, failed, failing)


def _log() -> Iterator[Metric]:
    unwritten = GaugeMetricFamily(
        "flowertune_log_unwritten", "What became public and is not in the log yet", labels=["what"]
    )
    unwritten.add_metric(["result"], stating.unstated_evaluations().count())
    unwritten.add_metric(["act"], stating.unstated_acts().count())
    size = GaugeMetricFamily("flowertune_log_leaves", "Leaves of the public log")
    signed = GaugeMetricFamily("flowertune_log_head_timestamp_seconds", "When its last head was signed")
    head = reading.current_head()
    size.add_metric([], head.size if head else 0)
    if head:
        signed.add_metric([], head.created_at.timestamp())
    yield from (unwritten, size, signed)
