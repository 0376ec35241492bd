"""The queue of drafts whose files are to be fetched from the hub. Workers claim rows, as with evaluations."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet, Subquery
from django.utils import timezone

from portal.control.models import Queue
from portal.intake import hub_tokens
from portal.intake.drafts import HubSource
from portal.outages import waiting
from portal.outages.causes import Failure
from portal.queues import wake_fetchers
from portal.runs import claims
from portal.submissions.models import HubFetch, Submission

Status = HubFetch.Status

ATTEMPTS = 2
"""Of workers that are lost in them."""


class FetchLostError(waiting.LostError):
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
            **waiting.OVER,
        },
    )
    wake_fetchers()
    return fetch


def forget(submission: Submission) -> None:
    """Give up what is under way; a worker that has it notices at its next write."""
    HubFetch.objects.filter(submission=submission, status__in=HubFetch.ACTIVE).delete()


def is_under_way(submission: Submission) -> bool:
    return HubFetch.objects.filter(submission=submission, status__in=HubFetch.ACTIVE).exists()


@transaction.atomic
def claim(*, machine: str, worker: str = "") -> HubFetch | None:
    """Take the fetch that waits longest of those that may be tried now, or return None.

    Without the name of the `worker` only what operators told its machine and the queue counts.
    """
    if not claims.may_begin(worker or machine, Queue.FETCH):
        return None
    claim_id = uuid.uuid4()
    candidate = (
        HubFetch.objects.select_for_update(skip_locked=True)
        .filter(waiting.is_due(machine), status=Status.WAITING)
        .order_by("requested_at", "pk")
        .values("pk")[:1]
    )
    HubFetch.objects.filter(pk=Subquery(candidate)).update(
        status=Status.RUNNING,
        claim_id=claim_id,
        lease_expires_at=_lease_end(),
        worker=worker,
        started_at=timezone.now(),
        **waiting.TRYING,
    )
    return HubFetch.objects.select_related("submission").filter(claim_id=claim_id).first()


def renew(fetch: HubFetch) -> None:
    """Extend the lease of a claimed fetch. Raises FetchLostError."""
    if not _claimed(fetch).update(lease_expires_at=_lease_end()):
        raise _lost(fetch)


@transaction.atomic
def wait(fetch: HubFetch, failure: Failure, *, machine: str, token: str | None) -> bool:
    """Let a claimed fetch wait for the end of an outage, its token kept for the next try.

    Returns False where it has waited enough, and leaves it claimed. Raises FetchLostError.
    """
    current = _claimed(fetch).select_for_update().first()
    if current is None:
        raise _lost(fetch)
    pause = waiting.wait(current, failure, machine=machine)
    if pause is None:
        return False
    kept = hub_tokens.keep(token) if token else None
    released = {"status": Status.WAITING, "claim_id": None, "lease_expires_at": None}
    HubFetch.objects.filter(pk=current.pk).update(**released, **pause, token_key=kept)
    return True


def finish(fetch: HubFetch, status: HubFetch.Status) -> None:
    """End a claimed fetch, in the transaction that writes what it brought. Raises FetchLostError."""
    # The submission first, as whoever changes the draft does.
    Submission.objects.select_for_update().filter(pk=fetch.submission_id).first()
    ended = _claimed(fetch).update(
        status=status, claim_id=None, lease_expires_at=None, token_key=None, **waiting.OVER
    )
    if not ended:
        raise _lost(fetch)


def release_expired() -> list[HubFetch]:
    """Return to the queue what a lost worker had; those that were tried enough are claimed and returned."""
    expired = HubFetch.objects.filter(status=Status.RUNNING, lease_expires_at__lt=timezone.now())
    expired.filter(attempts__lt=ATTEMPTS - 1).update(
        status=Status.WAITING, claim_id=None, lease_expires_at=None, attempts=F("attempts") + 1
    )
    return list(expired.filter(attempts__gte=ATTEMPTS - 1).select_related("submission"))


def work_is_waiting() -> bool:
    return HubFetch.objects.filter(status=Status.WAITING).exists()


def _claimed(fetch: HubFetch) -> QuerySet[HubFetch]:
    return HubFetch.objects.filter(pk=fetch.pk, claim_id=fetch.claim_id, status=Status.RUNNING)


def _lost(fetch: HubFetch) -> FetchLostError:
    return FetchLostError(f"{fetch} is no longer claimed by this worker")


def _lease_end() -> datetime:
    return timezone.now() + timedelta(seconds=settings.EVALUATION_LEASE_SECONDS)
