"""Fetches the files of drafts from the hub, one claimed row after another."""

from __future__ import annotations

import logging
import shutil
import threading
from functools import partial
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, transaction

from evaluation.checkpoints import ADAPTER_CONFIG_FILE, ADAPTER_FILE
from evaluation.errors import EvaluationError, Fault
from evaluation.findings import Finding, Severity
from evaluation.flowerconfig import CONFIG_FILE
from evaluation.hub.adapter import AdapterSnapshot, fetch_adapter
from evaluation.log_lines import about
from portal.intake import hub_fetches, hub_tokens, services
from portal.intake.drafts import Files, InvalidSubmission, TransitionRefused
from portal.notifications.services import submission_changed
from portal.outages.causes import BROKEN, Failure, failure_of
from portal.submissions.models import HubFetch
from workers.leases import done_while, once_the_database_answers, renewed
from workers.orders import MACHINE, WORKER_NAME
from workers.supervisor import shutting_down

logger = logging.getLogger(__name__)


_LAPSED = (
    "The token for the hub is kept for half an hour only and is gone. Give it again, or upload the files."
)


# Large files take minutes, and other maintenance has to go on meanwhile.
_AT_A_TIME = threading.BoundedSemaphore(2)


def run_waiting() -> None:
    """Fetch until nothing waits; the threads that fetch already see to what comes meanwhile."""
    if not _AT_A_TIME.acquire(blocking=False):
        return
    try:
        while (fetch := hub_fetches.claim(machine=MACHINE, worker=WORKER_NAME)) is not None:
            run(fetch)
    finally:
        _AT_A_TIME.release()


def run(fetch: HubFetch) -> None:
    """Bring one draft its files, or a finding that says why there are none and what to do."""
    with about(submission=fetch.submission_id, claim=fetch.claim_id):
        _run(fetch)


def _run(fetch: HubFetch) -> None:
    scratch = _folder() / str(fetch.claim_id)
    try:
        scratch.mkdir(parents=True)
        _fetch(fetch, scratch)
    except (hub_fetches.FetchLostError, TransitionRefused) as reason:
        logger.info("what was fetched for submission %s is of no use: %s", fetch.submission_id, reason)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def recover() -> None:
    """Return fetches of lost workers to the queue, or end them, and clear what those left."""
    for fetch in hub_fetches.release_expired():
        try:
            _fail(fetch, "Fetching did not come to its end, twice. Try again later, or upload the files.")
        except (hub_fetches.FetchLostError, TransitionRefused) as reason:
            logger.info("submission %s waits no more: %s", fetch.submission_id, reason)
    folders = list(_folder().glob("*"))
    running = {str(claim) for claim in HubFetch.objects.values_list("claim_id", flat=True) if claim}
    for folder in folders:
        if folder.name not in running:
            shutil.rmtree(folder, ignore_errors=True)


def _folder() -> Path:
    return Path(settings.VAR_DIR) / "fetches"


def _fetch(fetch: HubFetch, scratch: Path) -> None:
    token = hub_tokens.take(fetch.token_key) if fetch.token_key else None
    if fetch.token_key and token is None:
        _fail(fetch, _LAPSED)
        return
    try:
        with renewed(lambda: hub_fetches.renew(fetch), f"fetching {fetch}") as check:
            files = partial(
                fetch_adapter,
                fetch.repository,
                fetch.revision,
                token,
                fetch.subfolder,
                into=scratch,
                largest=settings.SUBMISSION_MAX_BYTES,
                fetched=lambda _done, _total: check(),
            )
            # A download that is left alone writes on where its folder was.
            clear = partial(shutil.rmtree, scratch, ignore_errors=True)
            _attach(fetch, done_while(check, files, once_left=clear))
    except (EvaluationError, OSError, DatabaseError) as error:
        failure = failure_of(error)
        if failure is BROKEN:
            raise
        _end(fetch, failure, token)
        return
    if fetch.send:
        _send(fetch)


def _end(fetch: HubFetch, failure: Failure, token: str | None) -> None:
    """Let the draft wait for the end of an outage, or tell it why there are no files."""

    def record() -> None:
        is_outage = failure.fault is Fault.OUTAGE
        if is_outage and hub_fetches.wait(fetch, failure, machine=MACHINE, token=token):
            return
        text = failure.message.rstrip(".")
        _fail(fetch, f"{text[0].upper()}{text[1:]}.")

    logger.info("nothing came from the hub for submission %s: %s", fetch.submission_id, failure.message)
    once_the_database_answers(record, stop=shutting_down)


def _attach(fetch: HubFetch, snapshot: AdapterSnapshot) -> None:
    adapter, config = snapshot.folder / ADAPTER_FILE, snapshot.folder / CONFIG_FILE
    place = f"/{fetch.subfolder}" if fetch.subfolder else ""
    with adapter.open("rb") as file, transaction.atomic():
        # First, as the draft's own checks ask whether files are still on their way.
        hub_fetches.finish(fetch, HubFetch.Status.DONE)
        services.attach(
            fetch.submission,
            Files(
                adapter=file,
                adapter_size=adapter.stat().st_size,
                adapter_config=(snapshot.folder / ADAPTER_CONFIG_FILE).read_bytes(),
                config=config.read_bytes() if config.exists() else None,
            ),
            origin=f"{snapshot.repo}@{snapshot.commit}{place}",
        )
        submission_changed(fetch.submission)


def _send(fetch: HubFetch) -> None:
    """As its submitter wished; what stands against it is among the draft's findings."""
    try:
        services.send(fetch.submission)
    except InvalidSubmission as refusal:
        logger.info("submission %s stays a draft: %s", fetch.submission_id, refusal)
        quota = [finding for finding in refusal.findings if finding.code == "submission.quota"]
        if quota:
            with transaction.atomic():
                services.attach(fetch.submission, Files(), also=quota)
                submission_changed(fetch.submission)


@transaction.atomic
def _fail(fetch: HubFetch, message: str) -> None:
    hub_fetches.finish(fetch, HubFetch.Status.FAILED)
    finding = Finding("hub.not_fetched", Severity.ERROR, message, fetch.repository)
    services.attach(fetch.submission, Files(), also=[finding])
    submission_changed(fetch.submission)
