"""What a machine cannot compute is left to others, and what it waits for is said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from evaluation.engines.hardware import Hardware
from evaluation.gpus import Gpu
from portal.accounts.models import User
from portal.intake.progress import progress_of
from tests.portal import factories
from workers import capabilities, claiming
from workers.claiming import Evaluator
from workers.slots import Slot, Slots

GB = 10**9
CPU = Hardware((), 64 * GB)
OLD_GPU = Hardware((Gpu((7, 5), 16 * GB),), 64 * GB)
NEW_GPU = Hardware((Gpu((9, 0), 80 * GB),) * 2, 64 * GB)


def left(here: Hardware) -> dict[tuple[str, int], Any]:
    return {(one.challenge, one.protocol): one for one in capabilities.left_for_want_of_hardware(here, here)}


@pytest.fixture(autouse=True)
def no_vllm(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.EVALUATION_PRECISION, settings.EVALUATION_ENGINE = "", "auto"
    monkeypatch.setattr(capabilities.vllm_support, "build", lambda: None)


def test_a_gpu_without_bf16_leaves_protocol_2_a_processor_does_not() -> None:
    found = left(OLD_GPU)["finance", 2]
    assert found.parameters is None and "a GPU that computes in bf16" in found.waits_for
    assert all(left(here)["finance", 2].parameters for here in (CPU, NEW_GPU))


@pytest.mark.parametrize(
    ("here", "challenge", "protocol", "billions"),
    [
        (OLD_GPU, "code", 1, 4.0),  # fp32: four bytes a parameter
        (OLD_GPU, "finance", 1, 28.4),  # fp4
        (CPU, "code", 1, 16.0),
        (NEW_GPU, "code", 1, 20.0),
        (NEW_GPU, "code", 2, 40.0),
    ],
)
def test_base_models_whose_weights_alone_fill_the_memory_are_left(
    here: Hardware, challenge: str, protocol: int, billions: float
) -> None:
    found = left(here)[challenge, protocol]
    assert found.parameters / 1e9 == pytest.approx(billions, abs=0.1)
    assert "a worker with more memory" in found.waits_for


def test_vllm_puts_16_bit_weights_on_all_gpus(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.setattr(capabilities.vllm_support, "build", lambda: "cuda")
    assert left(NEW_GPU)["code", 2].parameters == 80 * GB
    assert left(NEW_GPU)["code", 1].parameters == 20 * GB
    settings.EVALUATION_ENGINE = "transformers"
    assert left(NEW_GPU)["code", 2].parameters == 40 * GB


@pytest.mark.parametrize(
    ("parameters", "precision", "memory", "count"),
    [
        (7 * GB, "bf16", (20, 20), 1),
        (12 * GB, "bf16", (20, 20), 2),
        (12 * GB, "bf16", (80, 20), 1),
        (36 * GB, "bf16", (20, 20, 20, 20, 20), 5),
        (24 * GB, "bf16", (20, 20, 20, 20, 20), 4),
        (12 * GB, "fp4", (20, 20), 1),
        (12 * GB, "fp32", (20, 20), 1),  # which no engine divides
        (12 * GB, "bf16", (20,), 1),
    ],
)
def test_a_model_gets_no_more_gpus_than_hold_it(
    parameters: int, precision: str, memory: tuple[int, ...], count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capabilities.vllm_support, "build", lambda: "cuda")
    assert capabilities.gpus_needed(parameters, precision, [GB * size for size in memory]) == count


def test_of_unlike_gpus_each_leaves_what_is_beyond_it_and_the_worker_what_is_beyond_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old, new = replace(OLD_GPU.gpus[0], uuid="old"), replace(NEW_GPU.gpus[0], uuid="new")
    both = Hardware((old, new), 64 * GB)
    alone = {one.challenge: one for one in capabilities.left_for_want_of_hardware(OLD_GPU, both)}
    worker = Evaluator(Slots([Slot("old", "0"), Slot("new", "1")]), both)
    of_worker = {(one.challenge, one.protocol): one for one in worker.left_to_others()}
    assert alone["code"].parameters is None and of_worker["code", 2].parameters == 40 * GB


def test_a_worker_without_the_vllm_that_is_asked_for_fails_nothing_and_leaves_all(settings: Any) -> None:
    settings.EVALUATION_ENGINE = "vllm"
    found = left(NEW_GPU)
    assert len(found) == 8
    assert {(one.parameters, one.waits_for) for one in found.values()} == {
        (None, "a worker with vLLM, which EVALUATION_ENGINE asks for")
    }


def test_another_precision_than_the_protocols_is_what_counts_where_the_operator_sets_one(
    settings: Any,
) -> None:
    settings.EVALUATION_PRECISION = "fp16"
    assert left(OLD_GPU)["finance", 2].parameters == 8 * GB


@pytest.mark.django_db(transaction=True)
def test_what_a_worker_leaves_waits_and_says_for_what(
    owner: User, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.LEADERBOARD_PROTOCOLS = (2,)
    made = factories.submission(owner)
    monkeypatch.setattr(claiming, "here", lambda: Evaluator(Slots(), OLD_GPU))
    claiming.run_queued()
    waiting = factories.evaluation_of(made)
    told = progress_of(waiting)
    assert told and waiting.status == "queued" and waiting.attempts == 0
    assert (
        told.phase
        == "waiting for a worker with a GPU that computes in bf16 (compute capability 8.0 or higher)"
    )
