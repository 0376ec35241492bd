"""Scores: right, wrong and unscored are three different things."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evaluation import benchmarks, data
from evaluation.benchmarks.samples import Completion
from evaluation.data import Dataset
from evaluation.rules.protocol import CURRENT
from evaluation.running.judging import Judgement
from evaluation.running.score import Cost, Score, average, score
from tests.evaluation.conftest import WriteRows


@pytest.fixture
def dataset(write_rows: WriteRows) -> Dataset:
    """Four items, all of them neutral."""
    folder = write_rows("tfns", [{"text": f"item {i}", "label": 2} for i in range(4)])
    return data.load(benchmarks.get("tfns"), folder, CURRENT, None)


def scored(dataset: Dataset, *texts: str | None) -> Score:
    completions = {f"{i}": Completion(f"{i}", text, "broke") for i, text in enumerate(texts)}
    return joined(dataset, completions)


def joined(dataset: Dataset, completions: dict[str, Completion]) -> Score:
    judgements = {
        key: Judgement(dataset.benchmark.read(completion.text))
        for key, completion in completions.items()
        if completion.text is not None
    }
    return score(dataset, completions, judgements, cost=Cost(1.5, 0.5, 10, 4))


def test_unscored_items_count_neither_as_right_nor_as_wrong(dataset: Dataset) -> None:
    result = scored(dataset, "neutral", "positive", None)
    assert (result.n, result.correct_count, result.unscored) == (4, 1, 2)
    assert result.value == 0.5
    assert result.stderr == pytest.approx((0.25 / 2) ** 0.5)
    assert [item.correct for item in result.items] == [True, False, None, None]
    assert [item.failure for item in result.items] == ["", "", "broke", "there is no completion of this id"]
    assert [item.prediction for item in result.items] == ["neutral", "positive", None, None]


def test_without_any_answer_there_is_no_score(dataset: Dataset) -> None:
    result = scored(dataset)
    assert (result.value, result.stderr, result.interval, result.unscored) == (None, None, None, 4)
    assert average([result, scored(dataset, "neutral")]) == (None, None)
    assert average([]) == (None, None)


def test_completions_are_joined_by_id_even_where_prompts_are_the_same(write_rows: WriteRows) -> None:
    folder = write_rows("tfns", [{"text": "same", "label": label} for label in (0, 1)])
    dataset = data.load(benchmarks.get("tfns"), folder, CURRENT, None)
    answers = {"1": Completion("1", "positive"), "0": Completion("0", "negative")}
    assert joined(dataset, answers).value == 1


def test_the_average_is_the_plain_mean_with_an_interval(dataset: Dataset) -> None:
    halves = scored(dataset, "neutral", "neutral", "positive", "positive")
    all_right = scored(dataset, *["neutral"] * 4)
    mean, interval = average([halves, all_right])
    assert mean == 0.75
    assert interval is not None
    assert interval[0] < 0.75 < interval[1] <= 1


def test_a_result_says_what_it_took(dataset: Dataset) -> None:
    result = scored(dataset, "neutral", "neutral").as_dict()
    assert (result["tokens"], result["prompt_tokens"], result["generated_tokens"]) == (14, 10, 4)
    assert (result["seconds"], result["generating_seconds"], result["judging_seconds"]) == (2.0, 1.5, 0.5)
    assert result["official"] is False
    assert result["official_reasons"]


def test_several_attempts_estimate_pass_at_k_over_items(dataset: Dataset) -> None:
    passes = [10, 5, 0, 5]
    completions = {f"{i}#{attempt}": Completion("", "x") for i in range(4) for attempt in range(10)}
    judgements = {
        f"{i}#{attempt}": Judgement("neutral" if attempt < count else "wrong")
        for i, count in enumerate(passes)
        for attempt in range(10)
    }
    result = score(dataset, completions, judgements, cost=Cost(), attempts=10)
    assert (result.n, result.right, result.value) == (4, (10, 5, 0, 5), 0.5)
    entry = result.as_dict()
    assert entry["pass_at"] == {"1": pytest.approx(0.5), "10": pytest.approx(0.75)}
    assert entry["stderr"] == pytest.approx((sum((c / 10 - 0.5) ** 2 for c in passes) / 3 / 4) ** 0.5)
    assert "correct_bits" not in entry, "an item is neither right nor wrong"

    del completions["2#7"]
    broken = score(dataset, completions, judgements, cost=Cost(), attempts=10)
    assert (broken.unscored, broken.right) == (1, (10, 5, None, 5))


def test_the_score_without_leaked_items_stands_beside_the_score(dataset: Dataset) -> None:
    samples = (replace(dataset.samples[0], leaked=True), *dataset.samples[1:])
    entry = scored(replace(dataset, samples=samples), "neutral", "neutral", "positive", "positive").as_dict()
    assert (entry["score"], entry["leaked"]) == (0.5, 1)
    assert entry["score_without_leaked"] == pytest.approx(1 / 3)
    assert "leaked" not in scored(dataset, "neutral").as_dict()
