"""Sampled answers depend on the prompt and the request's seed alone, and follow the model's probabilities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from evaluation.benchmarks.samples import Decoding, Request

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from evaluation.engines.sampling import next_tokens  # noqa: E402 - needs the packages above
from evaluation.engines.transformers import TransformersEngine  # noqa: E402

SAMPLED = Decoding(max_new_tokens=40, temperature=1.0, top_p=0.95)
SHARES = torch.tensor([0.05, 0.5, 0.15, 0.3])


def requests(count: int) -> list[Request]:
    return [Request("humaneval", f"{i}", "def answer(" + "x" * (i % 5), seed=i) for i in range(count)]


@pytest.fixture(scope="module")
def engine(tiny_llama: Path) -> Iterator[TransformersEngine]:
    engine = TransformersEngine()
    engine.open(tiny_llama, "fp32")
    yield engine
    engine.close()


def ask(engine: TransformersEngine, asked: list[Request], decoding: Decoding) -> dict[str, str | None]:
    return {answer.key: answer.text for answer in engine.generate(asked, decoding, lambda _: None)}


def drawn(decoding: Decoding, count: int = 20_000) -> dict[int, float]:
    """The share of each token in draws of different seeds."""
    logits = SHARES.log().expand(count, -1)
    tokens = next_tokens(logits, decoding, [(seed, 0) for seed in range(count)])
    return {token: times / count for token, times in Counter(tokens).items()}


def test_draws_follow_the_probabilities() -> None:
    found = drawn(Decoding(temperature=1.0))
    assert {token: pytest.approx(share, abs=0.015) for token, share in found.items()} == dict(
        enumerate(SHARES.tolist())
    )


def test_the_temperature_sharpens() -> None:
    expected = SHARES**2 / (SHARES**2).sum()
    assert drawn(Decoding(temperature=0.5))[1] == pytest.approx(expected[1].item(), abs=0.015)


def test_top_p_keeps_the_smallest_set_that_holds_it() -> None:
    found = drawn(Decoding(temperature=1.0, top_p=0.7))
    assert found == {1: pytest.approx(0.5 / 0.8, abs=0.015), 3: pytest.approx(0.3 / 0.8, abs=0.015)}
    assert drawn(Decoding(temperature=1.0, top_p=0.4), 50) == {1: 1.0}


def test_steps_of_one_seed_are_drawn_apart() -> None:
    logits = SHARES.log().expand(200, -1)
    assert len(set(next_tokens(logits, Decoding(temperature=1.0), [(3, step) for step in range(200)]))) == 4


def test_samples_do_not_depend_on_batch_or_order(engine: TransformersEngine, tiny_llama: Path) -> None:
    asked = requests(12)
    together = ask(engine, asked, SAMPLED)
    assert ask(engine, asked[::-1], SAMPLED) == together
    alone: dict[str, str | None] = {}
    for request in asked[:4]:
        alone |= ask(engine, [request], SAMPLED)
    assert alone.items() <= together.items()
    small = TransformersEngine(batch_tokens=30, batch_rows=2)
    small.open(tiny_llama, "fp32")
    assert ask(small, asked, SAMPLED) == together


def test_another_seed_draws_another_answer(engine: TransformersEngine) -> None:
    asked = requests(1)
    texts = {ask(engine, [replace(asked[0], seed=seed)], SAMPLED)["0"] for seed in range(6)}
    assert len(texts) == 6


def test_greedy_decoding_ignores_the_seed(engine: TransformersEngine) -> None:
    asked = requests(5)
    greedy = replace(SAMPLED, temperature=0.0)
    assert ask(engine, asked, greedy) == ask(engine, [replace(r, seed=99) for r in asked], greedy)
