"""Out of memory: the engine goes on with smaller batches, down to one prompt, then says what is missing."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluation.benchmarks.samples import Completion, Decoding, Request
from evaluation.errors import OutOfMemoryError

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from evaluation.engines.transformers import TransformersEngine  # noqa: E402 - needs the packages above

SHORT, LONG = Decoding(max_new_tokens=2), Decoding(max_new_tokens=150)
# As torch words it.
CPU_ALLOCATOR = "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: 1 bytes"
ERRORS = {"cuda": lambda: torch.OutOfMemoryError("CUDA"), "cpu": lambda: RuntimeError(CPU_ALLOCATOR)}


def requests(count: int) -> list[Request]:
    return [
        Request("fpb", f"{i}", "What is the sentiment of this? " + "word " * (i % 7)) for i in range(count)
    ]


@pytest.fixture
def engine(tiny_llama: Path) -> TransformersEngine:
    engine = TransformersEngine()
    engine.open(tiny_llama, "fp32")
    engine.use_adapter(None)
    return engine


def ask(engine: TransformersEngine, asked: list[Request], decoding: Decoding) -> dict[str, Completion]:
    answers = list(engine.generate(asked, decoding, lambda _: None))
    assert len(answers) == len(asked)
    return {answer.key: answer for answer in answers}


def fail_above(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch, rows: int, error: Callable[[], Exception]
) -> list[int]:
    """Let the model have no memory for more than so many rows; returns the rows of each call."""
    forward, calls = engine._model.forward, []

    def limited(input_ids: Any, **options: Any) -> Any:
        calls.append(input_ids.shape[0])
        if input_ids.shape[0] > rows:
            raise error()
        return forward(input_ids, **options)

    # The engine reads from the signature what the model takes.
    monkeypatch.setattr(engine._model, "forward", functools.wraps(forward)(limited))
    return calls


@pytest.mark.parametrize(
    "error",
    [lambda: torch.OutOfMemoryError("CUDA"), lambda: RuntimeError(CPU_ALLOCATOR)],
    ids=["cuda", "cpu"],
)
@pytest.mark.parametrize("decoding", [SHORT, LONG], ids=["short", "long"])
def test_smaller_batches_give_the_same_answers(
    engine: TransformersEngine,
    monkeypatch: pytest.MonkeyPatch,
    decoding: Decoding,
    error: Callable[[], Exception],
) -> None:
    asked = requests(15)
    expected = ask(engine, asked, decoding)
    calls = fail_above(engine, monkeypatch, 3, error)
    assert ask(engine, asked, decoding) == expected
    failures = [rows for rows in calls if rows > 3]
    assert failures, "the limit was met"
    assert failures == sorted(failures, reverse=True)
    assert len(failures) <= 8, "each failure halves what is tried"


def test_memory_that_runs_out_in_the_middle_loses_nothing(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = requests(15)
    expected = ask(engine, asked, LONG)
    forward, steps = engine._model.forward, iter(range(10_000))

    def failing(input_ids: Any, **options: Any) -> Any:
        if next(steps) in (9, 10, 60):
            raise torch.OutOfMemoryError("CUDA")
        return forward(input_ids, **options)

    monkeypatch.setattr(engine._model, "forward", functools.wraps(forward)(failing))
    assert ask(engine, asked, LONG) == expected


def test_a_single_prompt_that_is_too_much_says_what_it_needs(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_above(engine, monkeypatch, 0, lambda: torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(OutOfMemoryError, match=r"tokens need about [\d,]+ MiB .* [\d,]+ MiB are free"):
        ask(engine, requests(3), SHORT)


def test_other_errors_are_not_taken_for_it(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_above(engine, monkeypatch, 0, lambda: RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        ask(engine, requests(3), SHORT)
