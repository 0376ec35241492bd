"""What a worker logs while all goes well."""

from __future__ import annotations

import importlib.util
import logging
import re
import signal
from pathlib import Path

import pytest

import evaluation
from portal.baselines import services
from portal.runs.models import BaselineRun, Evaluation
from portal.submissions.models import BaseModel
from tests.portal import baselines, factories
from tests.profiles import only_long
from tests.workers.conftest import Start, wait_until

# What makes an operator look for a fault that there is not.
_ALARMING = re.compile(
    r"error|warn|traceback|exception|fail|did not end|not installed|cannot|could not|missing|deprecat", re.I
)


@only_long
@pytest.mark.slow("trains with the real Flower app and evaluates the result")
@pytest.mark.django_db(transaction=True)
def test_a_training_and_an_evaluation_that_go_well_log_nothing_alarming(
    tiny_model: BaseModel, start_worker: Start, tmp_path: Path
) -> None:
    staff = factories.operator("staff")
    config = services.settled(baselines.config(rounds=2, clients_per_round=2), tiny_model)
    run = services.start(services.Request(services.PlannedRun(tiny_model, config), staff))
    worker = start_worker(EVALUATION_LIMIT="4", EVALUATION_LEASE_SECONDS="30")
    wait_until(lambda: BaselineRun.objects.get(pk=run.pk).finished_at is not None, "the run's end")
    finished = Evaluation.objects.exclude(finished_at=None)
    wait_until(lambda: finished.exists(), "the evaluation of its result")
    worker.send_signal(signal.SIGTERM)
    worker.wait(60)
    assert (BaselineRun.objects.get(pk=run.pk).status, finished.get().status) == ("succeeded", "succeeded")
    # Before it is ready Celery may say that it runs as root, which an operator should hear.
    _, _, log = (tmp_path / "worker.log").read_text(errors="replace").partition(" ready.")
    assert [line for line in log.splitlines() if _ALARMING.search(line)] == []


def test_a_kernel_that_is_never_used_is_not_missed(caplog: pytest.LogCaptureFixture) -> None:
    name = "bitsandbytes.backends.cpu.ops"
    assert evaluation.__doc__
    logging.getLogger(name).warning("Failed to load CPU gemm_4bit_forward from kernels-community: %s", "none")
    logging.getLogger(name).warning("something else")
    assert caplog.messages == ["something else"]
    found = importlib.util.find_spec("bitsandbytes")
    assert found and found.origin
    source = (Path(found.origin).parent / "backends" / "cpu" / "ops.py").read_text()
    assert "logging.getLogger(__name__)" in source and "load CPU gemm_4bit_forward from" in source
