"""The queue of drafts whose files are to be fetched from the hub. Workers claim rows, as with evaluations."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.db import transaction
from django.db.models import F, Subquery
from django.utils import timezone

from portal.intake import hub_tokens
from portal.intake.drafts import HubSource
from portal.queues import wake_fetchers
from portal.submissions.models import HubFetch, Submission

Status = HubFetch.Status

# The largest adapter comes in well under this; a worker that died keeps a draft waiting for as long.
LEASE = timedelta(minutes=15)
ATTEMPTS = 2


class FetchLostError(Exception):
    """The fetch is no longer this worker's: its lease expired, or the draft wants something else by now."""


@transaction.atomic
def request(submission: Submission, source: HubSource) -> HubFetch:
    """Put a draft's wish into the queue, in place of any earlier one, and wake the workers."""
    fetch, _ = HubFetch.objects.update_or_create(
        submission=submission,
        defaults={
            "repository": source.repository,
            "revision": source.revision,
            "subfolder": source.subfolder,
            "token_key": hub_tokens.keep(source.token) if source.token else None,
            "send": source.send,
            "status": Status.WAITING,
            "attempts": 0,
            "claim_id": None,
            "lease_expires_at": None,
            "requested_at": timezone.now(),
        },
    )
    wake_fetchers()
    return fetch


def is_under_way(submission: Submission) -> bool:
    return HubFetch.objects.filter(submission=submission, status__in=HubFetch.ACTIVE).exists()


@transaction.atomic
def claim() -> HubFetch | None:
    """Take the fetch that waits longest, or return None."""
    claim_id = uuid.uuid4()
    candidate = (
        HubFetch.objects.select_for_update(skip_locked=True)
        .filter(status=Status.WAITING)
        .order_by("requested_at", "pk")
        .values("pk")[:1]
    )
    HubFetch.objects.filter(pk=Subquery(candidate)).update(
        status=Status.RUNNING,
        claim_id=claim_id,
        lease_expires_at=timezone.now() + LEASE,
        attempts=F("attempts") + 1,
    )
    return HubFetch.objects.select_related("submission").filter(claim_id=claim_id).first()


def finish(fetch: HubFetch, status: HubFetch.Status) -> None:
    """End a claimed fetch, in the transaction that writes what it brought. Raises FetchLostError."""
    # The submission first, as whoever changes the draft does.
    Submission.objects.select_for_update().filter(pk=fetch.submission_id).first()
    ended = HubFetch.objects.filter(pk=fetch.pk, claim_id=fetch.claim_id, status=Status.RUNNING).update(
        status=status, claim_id=None, lease_expires_at=None, token_key=None
    )
    if not ended:
        raise FetchLostError(f"{fetch} is no longer claimed by this worker")


def release_expired() -> list[HubFetch]:
    """Return to the queue what a lost worker had; those that were tried enough are claimed and returned."""
    expired = HubFetch.objects.filter(status=Status.RUNNING, lease_expires_at__lt=timezone.now())
    expired.filter(attempts__lt=ATTEMPTS).update(status=Status.WAITING, claim_id=None, lease_expires_at=None)
    return list(expired.filter(attempts__gte=ATTEMPTS).select_related("submission"))


def work_is_waiting() -> bool:
    return HubFetch.objects.filter(status=Status.WAITING).exists()
