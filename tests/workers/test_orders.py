"""A worker follows orders and waits where its code does not fit: a real one, which is told while it runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections

from portal.accounts.models import User
from portal.control import orders
from portal.control.models import Act, Hold, Queue
from portal.control.orders import Operator
from portal.runs import services
from portal.runs.models import WorkerPresence
from portal.submissions.models import BaseModel
from tests.portal import factories
from tests.workers.conftest import Start, wait_until
from tests.workers.evaluations import evaluation_of, run, submission
from tests.workers.test_evaluate import follow
from workers import claiming, supervisor
from workers import orders as worker_orders
from workers.claiming import Evaluator

pytestmark = pytest.mark.django_db(transaction=True)
SOMEBODY = Operator(None, Act.Via.TERMINAL)
NO_DATA = {"EVALUATION_DATA": "/no/such/folder"}
"""With which an evaluation fails as soon as it is begun."""


@pytest.fixture(autouse=True)
def forgotten_orders() -> Iterator[None]:
    yield
    worker_orders._Known.paused = frozenset()


def worker_waits() -> str:
    seen = WorkerPresence.objects.first()
    return seen.waits if seen else "not there yet"


@pytest.mark.slow("starts a worker, which looks every few seconds")
def test_a_worker_of_another_state_waits_and_goes_on_by_itself(
    owner: User, tiny_model: BaseModel, tiny_adapter: Path, start_worker: Start
) -> None:
    made = submission(owner, tiny_model, tiny_adapter)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO django_migrations (app, name, applied) VALUES ('runs', '9999_of_tomorrow', now())"
        )
    try:
        start_worker(**NO_DATA)
        wait_until(lambda: "9999_of_tomorrow" in worker_waits(), "the worker to say why it waits")
        assert evaluation_of(made).status == "queued" and evaluation_of(made).started_at is None
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM django_migrations WHERE name = '9999_of_tomorrow'")
    wait_until(lambda: evaluation_of(made).finished_at is not None, "the evaluation after the upgrade")
    assert worker_waits() == ""


@pytest.fixture
def scripted_model(
    settings: Any,
    tmp_path: Path,
    transactional_db: None,
    monkeypatch: pytest.MonkeyPatch,
    evaluator: Evaluator,
) -> Path:
    """The folder of a base model whose evaluation goes by a script in it."""
    settings.EVALUATION_DATA = "demonstration"
    factories.base_model()
    BaseModel.objects.update(local_path=tmp_path)
    monkeypatch.setattr(supervisor, "MODULE", "tests.workers.scripted_evaluation")
    return tmp_path


def test_a_paused_worker_gives_back_what_it_has_and_goes_on_when_resumed(
    owner: User, scripted_model: Path
) -> None:
    follow(scripted_model, hang_after=1)
    made = factories.submission(owner)
    thread = threading.Thread(target=run_queued)
    thread.start()
    wait_until(lambda: evaluation_of(made).scores.count() == 1, "the first score")
    by_machine = (Hold.Kind.WORKER, worker_orders.MACHINE)
    orders.hold(*by_machine, how=Hold.How.PAUSE, reason="a new fan", by=SOMEBODY)
    assert "a new fan" in worker_orders.look([Queue.EVALUATE])[Queue.EVALUATE]
    thread.join(60)
    evaluation = evaluation_of(made)
    assert (evaluation.status, evaluation.attempts, evaluation.scores.count()) == ("queued", 0, 1)
    orders.resume(*by_machine, by=SOMEBODY)
    assert worker_orders.look([Queue.EVALUATE]) == {}
    follow(scripted_model)
    run_queued()
    assert evaluation_of(made).status == "succeeded"


def test_a_drained_worker_finishes_what_it_has_and_begins_nothing(owner: User, scripted_model: Path) -> None:
    follow(scripted_model)
    first, second = factories.submission(owner), factories.submission(owner, method="another")
    claimed = services.claim(worker=worker_orders.WORKER_NAME)
    assert claimed
    orders.hold(
        Hold.Kind.WORKER, worker_orders.WORKER_NAME, how=Hold.How.DRAIN, reason="upgrade", by=SOMEBODY
    )
    worker_orders.look([Queue.EVALUATE])
    run(claimed)
    run_queued()
    assert evaluation_of(first).status == "succeeded" and evaluation_of(second).status == "queued"
    assert services.claim(worker="another-machine:1")


def run_queued() -> None:
    try:
        claiming.run_queued()
    finally:
        connections.close_all()
