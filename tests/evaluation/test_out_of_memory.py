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
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

from evaluation.engines import limits  # noqa: E402 - need the packages above
from evaluation.engines.limits import Limits  # noqa: E402
from evaluation.engines.memory import DeviceMemory, Needs  # noqa: E402
from evaluation.engines.transformers import TransformersEngine  # noqa: E402

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
    assert len(failures) <= 9, (
        "each failure halves what is tried, and growing again is tried ever more rarely"
    )


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


def test_after_a_while_larger_batches_are_tried_again(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_PATIENCE", 8)
    asked = [Request("fpb", str(i), "words " * (1 + i % 5)) for i in range(200)]
    expected = ask(engine, asked, SHORT)
    forward, calls = engine._model.forward, []

    def failing(input_ids: Any, **options: Any) -> Any:
        calls.append(input_ids.numel())
        if len(calls) in (3, 4, 5, 6):  # somebody else has the memory
            raise torch.OutOfMemoryError("CUDA")
        return forward(input_ids, **options)

    monkeypatch.setattr(engine._model, "forward", functools.wraps(forward)(failing))
    assert ask(engine, asked, SHORT) == expected
    before, meanwhile, later = max(calls[:6]), max(calls[6:14]), max(calls[14:])
    assert meanwhile <= before // 4
    assert later > before // 2


def test_a_prompt_that_fits_only_without_the_shared_prefix_is_answered(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [
        Request("fpb", str(i), "The same long introduction to each of them. " * 3 + str(i)) for i in range(9)
    ]
    expected = ask(engine, asked, LONG)
    forward = engine._model.forward

    def limited(input_ids: Any, **options: Any) -> Any:
        cache = options.get("past_key_values")
        behind_a_prefix = cache is not None and cache.get_seq_length() and input_ids.shape[1] > 1
        if behind_a_prefix or input_ids.shape[0] > 1:
            raise torch.OutOfMemoryError("CUDA")
        return forward(input_ids, **options)

    monkeypatch.setattr(engine._model, "forward", functools.wraps(forward)(limited))
    assert ask(engine, asked, LONG) == expected


class Room(DeviceMemory):
    """A device with so many free bytes."""

    def __init__(self, free: int) -> None:
        self.free = free

    def free_bytes(self) -> int:
        return self.free

    def release(self) -> None:
        raise AssertionError("nothing ran out")


def test_batches_are_as_large_as_the_free_memory_allows(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = requests(16)
    expected = ask(engine, asked, LONG)
    calls = fail_above(engine, monkeypatch, 64, ERRORS["cuda"])
    ask(engine, asked, SHORT)
    roomy = max(calls)
    needs = Needs.of(engine._model.config, engine._model.dtype)
    monkeypatch.setattr(engine, "_memory", Room(5 * 4 * needs.row))  # of four parts each has four rows
    calls.clear()
    assert ask(engine, asked, LONG) == expected
    assert max(calls) <= 4 < roomy


def test_limits_that_memory_lowers_do_not_follow_every_byte() -> None:
    needs, most = Needs(kept=1_000, read=1_000, row=100), Limits(10_000, 128, 128, 100_000)
    assert most.fitting(10**12, needs) == most
    fitting = [most.fitting(free, needs) for free in range(20_000_000, 26_000_000, 50_000)]
    assert len(set(fitting)) <= 3
    assert all(fits.tokens & (fits.tokens - 1) == 0 for fits in fitting)
    assert most.fitting(0, needs) == Limits(1, 1, 1, 1)


def test_what_a_token_needs_is_told_for_kinds_of_models_without_attention_or_with_unequal_layers() -> None:
    mamba = transformers.MambaConfig(hidden_size=64, num_hidden_layers=2, vocab_size=100)
    assert Needs.of(mamba, torch.float32).sequence(10) > 0
    unequal = transformers.PretrainedConfig(
        hidden_size=64, num_attention_heads=4, intermediate_size=[16, 512], num_hidden_layers=2, vocab_size=9
    )
    assert Needs.of(unequal, torch.bfloat16).read == 2 * (3 * 512 + 4 * 64)


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
