"""Runs claimed evaluations: hands them to the child process and records what comes back."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files import File

from evaluation import rules
from evaluation.benchmarks import BENCHMARKS
from evaluation.checkpoints import ADAPTER_CONFIG_FILE, ADAPTER_FILE
from evaluation.federated.config import FederatedConfig
from evaluation.leakage.sources import SAME_SOURCE
from evaluation.log_lines import about
from evaluation.method.card import MethodCard
from evaluation.rules.challenges import CHALLENGES
from evaluation.wire.evaluating import Done, Event, Job, Loading, Progress, Scored
from evaluation.wire.leakage import LeakageJob, LeakageMeasured
from evaluation.wire.messages import Ending, Failed
from portal.outages.causes import DamagedFileError, Failure, stored_bytes
from portal.runs import claims, leakage, services
from portal.runs.models import Evaluation
from workers import capabilities, data_sets, turns
from workers.attempt_spans import AttemptSpans
from workers.base_models import in_use, model_folder
from workers.leases import Check, Lease, once_the_database_answers
from workers.log import WorkerLog
from workers.orders import PausedError
from workers.slots import Share
from workers.supervisor import broken, shutting_down

logger = logging.getLogger(__name__)

_PHASES = {"judging": "running the programs", "reading": "reading texts"}
LEFTOVER_SECONDS = 86_400


def run(evaluation: Evaluation, share: Share) -> None:
    """Run one claimed evaluation to its end, whatever that is, and record it."""
    with about(**evaluation.log_ids):
        _run(evaluation, share)


def _run(evaluation: Evaluation, share: Share) -> None:
    with AttemptSpans(evaluation).whole() as spans:
        _attempt(evaluation, share, spans)


def _attempt(evaluation: Evaluation, share: Share, spans: AttemptSpans) -> None:
    scratch, log = settings.VAR_DIR / "runs" / str(evaluation.claim_id), WorkerLog(evaluation)
    logger.info("%s begins", evaluation)
    try:
        scratch.mkdir(parents=True)
        with in_use(evaluation.base_model):
            _run_in(scratch, _Work(evaluation, share, log, spans))
    except claims.ClaimLostError:
        logger.warning("%s was cancelled or taken over; this worker leaves it", evaluation)
    except turns.ShuttingDownError:
        _give_back(evaluation, log)
    except PausedError:
        _give_back(evaluation, log, "an operator paused the worker or the queue")
    except Exception as error:  # noqa: BLE001 -- the supervisor: whatever broke, the row says so
        failure = broken(evaluation, error)
        spans.failed(failure.code)
        _fail(evaluation, log, failure)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def clear_leftovers() -> None:
    """Delete what killed processes left: scratch folders of ended claims, and uploads of a day ago."""
    # The folders first: one made after the claims were read must not be taken for a leftover.
    folders = list((settings.VAR_DIR / "runs").glob("*"))
    running = {str(claim) for claim in Evaluation.objects.values_list("claim_id", flat=True) if claim}
    for folder in folders:
        if folder.name not in running:
            shutil.rmtree(folder, ignore_errors=True)
    for upload in settings.FILE_UPLOAD_TEMP_DIR.glob("*.upload*"):
        if time.time() - upload.stat().st_mtime > LEFTOVER_SECONDS:
            upload.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Work:
    """An evaluation on its GPUs, and who is told of it."""

    evaluation: Evaluation
    share: Share
    log: WorkerLog
    spans: AttemptSpans


def _run_in(scratch: Path, work: _Work) -> None:
    evaluation, log, output = work.evaluation, work.log, scratch / "output"
    lease = Lease(evaluation, log.write)
    log.note(f"Preparing the files: {evaluation.base_model.hub_id} and the adapter.")
    lease.renew({"phase": "preparing the files"})
    with lease.kept() as check:
        if evaluation.purpose == Evaluation.Purpose.LEAKAGE:
            job: Job | LeakageJob = _leakage_job(scratch, evaluation, lease, check)
        else:
            job = _job(scratch, evaluation, output, check)
    what = f"evaluating {', '.join(_titles(job.benchmarks))}" if isinstance(job, Job) else "measuring leakage"
    log.note(f"The files are here; {what} in {job.precision}.")
    match _done(job, lease, work, output):
        case Done(provenance=provenance):
            _ended(log, lambda: services.succeed(evaluation, provenance=provenance))
        case Failed() as failed:
            work.spans.failed(failed.code)
            _fail(evaluation, log, Failure(failed.code, failed.message, failed.fault))
        case _:
            _give_back(evaluation, log)


def _done(job: Job | LeakageJob, lease: Lease, work: _Work, output: Path) -> Ending | None:
    """Let the process of the evaluation's GPUs do the job, once they are free, and record what it says."""
    evaluation, share, log = work.evaluation, work.share, work.log
    parameters, precision = evaluation.base_model.parameters, job.precision or ""
    if isinstance(job, Job):  # leakage is measured by an engine that uses one GPU
        _widen(share, capabilities.gpus_needed(parameters, precision, share.memory), lease, log)
    process, devices = share.process, share.devices

    def record(event: Event) -> dict[str, Any] | None:
        log.hear(event)
        work.spans.hear(event)
        if isinstance(event, Scored):
            scored = event
            _ended(log, lambda: _record(evaluation, scored, output))
        if isinstance(event, LeakageMeasured):
            measured = event
            _ended(log, lambda: leakage.record(evaluation, measured))
        return _progress(event)

    def needed() -> int:
        """Nothing where the model is in its place already, else what it takes once the one before is gone."""
        if process.is_ready(evaluation.base_model_id, devices):
            return 0
        return turns.evaluating_bytes(parameters, precision, gpus=len(share.slots))

    with turns.taken(share.gpus, str(evaluation), needed, lease, log.note) as turn:
        if turn and not process.is_ready(evaluation.base_model_id, devices):
            process.stop()
        return process.run(job, lease, record, base_model=evaluation.base_model_id, devices=devices)


def _widen(share: Share, count: int, lease: Lease, log: WorkerLog) -> None:
    """Wait until the evaluation has so many GPUs."""
    if count == len(share.slots):
        return
    log.note(f"The base model takes {count} GPUs; it waits until they are free.")
    lease.renew({"phase": f"waiting: other evaluations have the {count} GPUs that it takes"})

    def meanwhile() -> None:
        lease.renew()
        if shutting_down.is_set():
            raise turns.ShuttingDownError

    share.widen(count, meanwhile)


def _job(scratch: Path, evaluation: Evaluation, output: Path, check: Check) -> Job:
    asked = rules.of(evaluation.challenge, evaluation.protocol)
    # On other domains too in the precision of its own, so that the base model stays loaded between them.
    home = rules.of(evaluation.submission.challenge, evaluation.protocol)
    output.mkdir()
    return Job(
        job=str(evaluation.claim_id),
        model=str(model_folder(evaluation.base_model, check)),
        adapter=str(_adapter_folder(scratch, evaluation)) if evaluation.checkpoint else None,
        benchmarks=tuple(services.remaining_benchmarks(evaluation, asked.benchmarks)),
        protocol=evaluation.protocol,
        engine=settings.EVALUATION_ENGINE,
        precision=settings.EVALUATION_PRECISION or home.precision,
        data=settings.EVALUATION_DATA or str(data_sets.benchmark_rows(asked.benchmarks, scratch / "data")),
        limit=settings.EVALUATION_LIMIT.get(asked.challenge.slug),
        output=str(output),
        registered=data_sets.registered(asked.benchmarks),
        smoke_run=evaluation.smoke_run,
    )


def _leakage_job(scratch: Path, evaluation: Evaluation, lease: Lease, check: Check) -> LeakageJob:
    """Of a training here with its settings and rows; of another adapter with its challenge's, and benchmarks
    of the same sources."""
    run, challenge = leakage.run_of(evaluation.submission), evaluation.submission.challenge
    items, stated = SAME_SOURCE.get(challenge, ()), evaluation.submission.method_card
    card = MethodCard.from_json(stated) if stated else None
    model = model_folder(evaluation.base_model, check)
    set_of_challenge = CHALLENGES[challenge].training_set.hub_id
    rows = data_sets.training_rows(run.config["train_data"] if run else set_of_challenge, lease)
    config = run and replace(FederatedConfig.from_dict(run.config), model=model, train_data=rows).as_dict()
    return LeakageJob(
        job=str(evaluation.claim_id),
        model=str(model),
        adapter=str(_adapter_folder(scratch, evaluation)),
        challenge=challenge,
        protocol=evaluation.protocol,
        precision=leakage.precision_of(evaluation),
        rows=str(rows),
        run=config or None,
        rounds=leakage.rounds_of(run) if run else (),
        template=card.template if card else None,
        columns=card.instruction_columns if card else None,
        data=None
        if run
        else settings.EVALUATION_DATA or str(data_sets.benchmark_rows(items, scratch / "data")),
        registered=() if run else data_sets.registered(items),
    )


def _titles(benchmarks: Iterable[str]) -> list[str]:
    return [BENCHMARKS[slug].title for slug in benchmarks]


def _adapter_folder(scratch: Path, evaluation: Evaluation) -> Path:
    """The adapter as files; what comes out of storage must be what was checked on submission."""
    checkpoint = evaluation.checkpoint
    assert checkpoint
    folder = scratch / "adapter"
    folder.mkdir()
    digest = hashlib.sha256()
    with (folder / ADAPTER_FILE).open("wb") as target:
        for chunk in stored_bytes(checkpoint.file):
            digest.update(chunk)
            target.write(chunk)
    if digest.hexdigest() != checkpoint.sha256:
        raise DamagedFileError(f"The stored adapter {checkpoint} is not what was stored any more.")
    (folder / ADAPTER_CONFIG_FILE).write_text(json.dumps(checkpoint.adapter_config))
    return folder


def _record(evaluation: Evaluation, scored: Scored, output: Path) -> None:
    with (output / Path(scored.items).name).open("rb") as items:
        services.record_score(evaluation, scored, items=File(items))


def _progress(event: Event) -> dict[str, Any] | None:
    match event:
        case Loading():
            return {"phase": "loading the base model"}
        case Progress():
            return {
                "phase": _PHASES.get(event.phase, "evaluating"),
                "benchmark": event.benchmark,
                "done": event.done,
                "total": event.total,
                "rate": event.rate,
                "eta": event.eta,
            }
        case _:
            return None


def _written(write: Callable[[], object]) -> None:
    once_the_database_answers(write, stop=shutting_down)


def _ended(log: WorkerLog, write: Callable[[], object]) -> None:
    """Write the log so far, and behind it what ends a part of the work."""

    def both() -> None:
        log.write()
        write()

    _written(both)


def _give_back(evaluation: Evaluation, log: WorkerLog, why: str = "") -> None:
    try:
        _ended(log, lambda: services.give_back(evaluation, why))
    except claims.ClaimLostError:
        logger.warning("%s was cancelled or taken over before it could be given back", evaluation)


def _fail(evaluation: Evaluation, log: WorkerLog, failure: Failure) -> None:
    try:
        _ended(log, lambda: services.fail_attempt(evaluation, failure))
    except claims.ClaimLostError:
        logger.warning("%s was cancelled or taken over before its failure could be recorded", evaluation)
