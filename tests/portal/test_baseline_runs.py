"""Baseline runs in the database: what holds whoever writes."""

from __future__ import annotations

import pytest
from django.db import transaction
from django.db.utils import DatabaseError

from evaluation.errors import Fault
from portal.accounts.models import User
from portal.baselines import method_cards, queue, services
from portal.outages.causes import Failure
from portal.runs import claims
from portal.runs.models import BaselineRun, RoundMetric
from portal.submissions.models import BaseModel, Submission
from tests.portal import baselines, factories

pytestmark = pytest.mark.django_db


def test_a_run_is_claimed_once_the_oldest_first(reviewer: User) -> None:
    first, second = baselines.run(reviewer), baselines.run(reviewer)
    taken = [queue.claim(worker="a"), queue.claim(worker="b"), queue.claim(worker="c")]
    assert [run and run.pk for run in taken] == [first.pk, second.pk, None]


def test_a_worker_whose_claim_is_gone_records_nothing(reviewer: User) -> None:
    run = baselines.run(reviewer)
    stale = queue.claim(worker="a")
    assert stale
    queue.give_back(stale)
    fresh = queue.claim(worker="b")
    assert fresh
    for write in (
        lambda: queue.record_round(stale, baselines.metric(1)),
        lambda: queue.record_setup(stale, baselines.ready(1)),
        lambda: queue.fail_attempt(stale, Failure("x", "x", Fault.CRASH)),
        lambda: queue.give_back(stale),
    ):
        with pytest.raises(claims.ClaimLostError):
            write()
    queue.record_round(fresh, baselines.metric(1))
    assert run.round_metrics.count() == 1


def test_rounds_are_written_once_and_only_while_the_run_runs(reviewer: User) -> None:
    run = baselines.with_rounds(baselines.run(reviewer), 2)
    metric = run.round_metrics.get(round=1)
    for change in (lambda: RoundMetric.objects.update(seconds=0), metric.delete):
        with pytest.raises(DatabaseError, match=r"Cannot|only while"), transaction.atomic():
            change()
    queue.record_round(run, baselines.metric(2, seconds=99.0))
    assert run.round_metrics.get(round=2).seconds == 2.5
    services.cancel(run, by=reviewer)
    with pytest.raises(DatabaseError, match=r"Cannot|only while"), transaction.atomic():
        metric.pk, metric.round = None, 3
        metric.save(force_insert=True)


@pytest.mark.parametrize("changes", [{"status": "queued"}, {"rounds_done": 1}, {"error_message": "x"}])
def test_a_finished_run_never_changes(reviewer: User, changes: dict[str, object]) -> None:
    run = baselines.run(reviewer)
    services.cancel(run, by=reviewer)
    with pytest.raises(DatabaseError, match=r"Cannot|only while"), transaction.atomic():
        BaselineRun.objects.filter(pk=run.pk).update(**changes)


def test_settings_stay_as_they_were_asked_for(reviewer: User) -> None:
    run = baselines.run(reviewer)
    with pytest.raises(DatabaseError, match=r"Cannot|only while"), transaction.atomic():
        BaselineRun.objects.filter(pk=run.pk).update(config={})


def lose(run: BaselineRun) -> BaselineRun:
    """The run after its worker died without a word."""
    assert queue.claim(worker="dies")
    BaselineRun.objects.update(lease_expires_at="2020-01-01T00:00Z")
    assert queue.release_expired() == 1
    run.refresh_from_db()
    return run


def test_a_run_whose_workers_die_without_a_round_fails(reviewer: User) -> None:
    run = lose(baselines.run(reviewer))
    assert (run.status, run.attempts, run.error_code) == ("queued", 1, "worker_lost")
    assert lose(run).status == "failed"


def test_a_new_round_forgives_what_broke_before_it(reviewer: User) -> None:
    run = lose(baselines.run(reviewer))
    claimed = queue.claim(worker="trains")
    assert claimed
    queue.record_round(claimed, baselines.metric(1))
    queue.give_back(claimed)
    assert lose(run).status == "queued"


def test_a_closed_base_model_takes_no_run(reviewer: User) -> None:
    wanted = baselines.request(reviewer)
    BaseModel.objects.update(active=False)
    wanted.plan.base_model.refresh_from_db()
    with pytest.raises(services.InvalidRun, match="takes no new submissions"):
        services.start(wanted)


def test_what_a_method_card_leaves_open_is_said(owner: User) -> None:
    config = b"\n".join(
        [
            factories.pyproject(),
            b"[tool.flwr.app.config.train.training-arguments]",
            b"num-train-epochs = 2",
            b"gradient-accumulation-steps = 4",
            b"per-device-train-batch-size = 8",
        ]
    )
    files = factories.draft(owner).files
    assert files
    made = factories.submission(
        owner,
        files=type(files)(files.adapter, files.adapter_size, files.adapter_config, config),
    )
    settings, assumed = method_cards.settings_of(made, rows=1000)
    said = " ".join(assumed)
    assert settings["batch_size"] == 32 and "where the card accumulates 4" in said
    assert settings["clients"] == 50 and settings["rank"] == 4
    assert settings["local_steps"] == 2 and "2 local epochs are 2 steps on these rows" in said
    assert "Strategy: not on the card, FedAvg here." in said
    assert settings["target_modules"] == ("q_proj", "v_proj")


def test_an_adapter_without_a_card_cannot_be_retrained(owner: User) -> None:
    untuned = factories.submission(owner, kind=Submission.Kind.REFERENCE, files=None)
    with pytest.raises(method_cards.NotRetrainable):
        method_cards.settings_of(untuned, None)
