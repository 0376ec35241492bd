"""A baseline run through a real worker and the real Flower app on a tiny model; the worker is killed."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import psutil
import pytest
from django.conf import settings

from portal.baselines import kept_rounds, services
from portal.baselines.benchmark_curve import curve_of
from portal.runs import leakage
from portal.runs.models import BaselineRun, Evaluation
from portal.submissions.models import BaseModel
from tests.portal import baselines, factories
from tests.workers.conftest import Start, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def training_processes() -> list[psutil.Process]:
    """Those of this test process's Flower app, Ray's included; a warm evaluation process may stay."""
    return [process for process in psutil.process_iter() if _trains(process)]


def _trains(process: psutil.Process) -> bool:
    try:
        home = process.environ().get("HOME", "")
        return home.startswith(str(settings.VAR_DIR)) and "evaluation.server" not in process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):  # also a zombie
        return False


@pytest.mark.slow("trains in two workers, and evaluates")
def test_a_run_whose_worker_is_killed_goes_on_after_its_last_round(
    tiny_model: BaseModel, start_worker: Start
) -> None:
    staff = factories.operator("staff")
    config = services.settled(baselines.config(rounds=4, clients_per_round=2), tiny_model)
    plan = services.PlannedRun(tiny_model, replace(config, local_steps=2, keep_every=2))
    run = services.start(services.Request(plan, staff))

    def state() -> BaselineRun:
        return BaselineRun.objects.get(pk=run.pk)

    first = start_worker(EVALUATION_LEASE_SECONDS="5")
    wait_until(lambda: state().rounds_done >= 1 or state().finished_at is not None, "the first round")
    assert state().status == "running", state().error_message
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    before = dict(run.round_metrics.values_list("round", "recorded_at"))
    wait_until(lambda: not training_processes(), "the end of the orphaned training")

    start_worker(EVALUATION_LEASE_SECONDS="5")
    wait_until(lambda: state().finished_at is not None, "the run's end")
    ended = state()
    assert (ended.status, ended.rounds_done) == ("succeeded", 4), ended.error_message
    recorded = dict(run.round_metrics.values_list("round", "recorded_at"))
    assert sorted(recorded) == [1, 2, 3, 4] and before.items() <= recorded.items()
    # The orphan may have stored a round more before it noticed that it was one.
    assert max(before) <= ended.setup["resumed"] < 4 and sum(ended.setup["partition"]) > 0
    entry = ended.submission
    assert entry and entry.kind == "reference"
    measured = dict(entry.resources.filter(basis="measured").values_list("kind", "value"))
    sent = sum(metric.bytes_up for metric in run.round_metrics.all())
    assert measured["communication_up"] == sent
    wait_until(lambda: _status(ended) == "in_review", "the entry's evaluation")
    entry.refresh_from_db()
    measuring = leakage.ask(entry)
    wait_until(lambda: not _refreshed(measuring).is_active, "the end of its measuring")
    found = leakage.result_of(entry)
    assert found and found.basis == "measured", _refreshed(measuring).error_message
    assert found.members >= 20 and found.others >= 20 and len(found.memberships) == 3
    (kept,) = kept_rounds.newest(entry)  # of round 2, whichever of the two workers trained it
    wait_until(lambda: not _refreshed(kept).is_active, "the evaluation of the adapter that was kept")
    curve = curve_of(ended, sees_all=True)
    assert curve and [(row.spent.round, row.state) for row in curve.rows] == [(2, "scored"), (4, "scored")]
    assert kept.checkpoint_id != entry.checkpoint_id
    assert not training_processes()


def _refreshed(evaluation: Evaluation) -> Evaluation:
    return Evaluation.objects.get(pk=evaluation.pk)


def _status(run: BaselineRun) -> str:
    assert run.submission
    run.submission.refresh_from_db()
    return run.submission.status
