"""The adapters that a run kept on its way: stored with its result, and evaluated under its board's protocol.

Each evaluation is a row like any other, with the purpose ROUND: it waits until nothing else does, ends as
`measured`, and counts on no board. The rows say which rounds were kept.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from django.conf import settings
from django.db import transaction

from evaluation.checkpoints import ADAPTER_CONFIG_FILE, ADAPTER_FILE
from evaluation.federated.config import KEPT_FOLDER
from evaluation.findings import Severity
from portal.intake import stored_files
from portal.intake.checks import check
from portal.intake.drafts import Draft, Files
from portal.queues import wake_evaluators
from portal.runs import claims, logs
from portal.runs.logs import Level, Line
from portal.runs.models import BaselineRun, Evaluation
from portal.runs.transfer import PRIORITY
from portal.submissions.models import Checkpoint, Submission

logger = logging.getLogger(__name__)

Purpose, Status = Evaluation.Purpose, Evaluation.Status

EVALUABLE = (
    Submission.Status.QUEUED,
    Submission.Status.EVALUATING,
    Submission.Status.IN_REVIEW,
    Submission.Status.PUBLISHED,
)


class KeptRoundsRefused(Exception):
    """They can't be evaluated, or nothing is to cancel; the text says why, to staff."""


def store(draft: Draft, result: Path) -> dict[int, Checkpoint]:
    """The adapters that a result holds besides its own, by round, each stored once.

    One that could not be evaluated is left out: the run's page says that the round has none.
    """
    kept = {}
    for folder in sorted((result / KEPT_FOLDER).glob("*"), key=lambda path: path.name.zfill(9)):
        if checkpoint := _stored(draft, folder):
            kept[int(folder.name)] = checkpoint
    return kept


def queue(entry: Submission, kept: Mapping[int, Checkpoint]) -> None:
    """Queue an evaluation of each, and wake the workers."""
    for number, checkpoint in kept.items():
        _queue(entry, number, checkpoint)
    wake_evaluators()


@transaction.atomic
def ask(run: BaselineRun) -> int:
    """Queue again what is neither evaluated under the site's protocol nor under way; returns how many.

    Raises KeptRoundsRefused where there is nothing of that kind, or the entry was decided against.
    """
    if run.submission_id is None:
        raise KeptRoundsRefused("Its adapters are evaluated once it has its result.")
    entry = Submission.objects.select_for_update(of=("self",)).get(pk=run.submission_id)
    if entry.status not in EVALUABLE:
        raise KeptRoundsRefused(f"The entry is {entry.get_status_display()}.")
    lacking = [one for one in newest(entry) if _lacks(one)]
    if not lacking:
        raise KeptRoundsRefused("Every adapter that was kept is evaluated, or that is under way.")
    for one in lacking:
        assert one.checkpoint
        _queue(entry, one.round, one.checkpoint)
    wake_evaluators()
    return len(lacking)


@transaction.atomic
def cancel(run: BaselineRun, *, by: str) -> int:
    """End the evaluations that wait or run; returns how many. Raises KeptRoundsRefused where none does."""
    of_run = Evaluation.objects.filter(submission=run.submission_id, purpose=Purpose.ROUND)
    active = list(of_run.filter(status__in=Evaluation.ACTIVE).select_for_update().order_by("pk"))
    if not claims.cancel(of_run.filter(pk__in=[one.pk for one in active])):
        raise KeptRoundsRefused("None of its kept adapters waits for an evaluation.")
    for one in active:
        logs.add(one, Line(f"Cancelled by {by}.", Level.WARNING))
    return len(active)


def newest(entry: Submission) -> list[Evaluation]:
    """The last evaluation of each kept adapter, in the order of rounds, with its scores."""
    found = Evaluation.objects.filter(submission=entry, purpose=Purpose.ROUND)
    return list(
        found.select_related("checkpoint")
        .prefetch_related("scores")
        .order_by("round", "-pk")
        .distinct("round")
    )


def _lacks(evaluation: Evaluation) -> bool:
    """Whether it did not come to its end, or did under another protocol than the site's present one."""
    if evaluation.status == Status.MEASURED:
        return evaluation.protocol != settings.LEADERBOARD_PROTOCOLS[0]
    return not evaluation.is_active


def _queue(entry: Submission, number: int, checkpoint: Checkpoint) -> None:
    evaluation = Evaluation.objects.create(
        submission=entry,
        base_model=entry.base_model,
        checkpoint=checkpoint,
        protocol=settings.LEADERBOARD_PROTOCOLS[0],
        purpose=Purpose.ROUND,
        round=number,
        priority=PRIORITY,
    )
    logs.add(evaluation, Line(f"An evaluation of the adapter of round {number} is queued."))


def _stored(draft: Draft, folder: Path) -> Checkpoint | None:
    """The checkpoint of a kept adapter, checked as its result's; None where it cannot be loaded."""
    adapter = folder / ADAPTER_FILE
    with adapter.open("rb") as file:
        files = Files(
            adapter=file,
            adapter_size=adapter.stat().st_size,
            adapter_config=(folder / ADAPTER_CONFIG_FILE).read_bytes(),
            config=draft.files.config if draft.files else None,
        )
        checked = check(replace(draft, files=files))
        wrong = [one for one in checked.inspection.findings if one.severity is Severity.ERROR]
        if wrong or checked.summary is None:
            logger.warning("round %s is not kept: %s", folder.name, "; ".join(one.message for one in wrong))
            return None
        sha256 = checked.summary.sha256
        stored_as = "" if stored_files.is_known(sha256) else stored_files.store(files, sha256)
    checkpoint = stored_files.checkpoint_of(checked, stored_as)
    stored_files.discard_unless_used(stored_as)
    return checkpoint
