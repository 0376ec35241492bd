"""Scores: right, wrong and unscored are three different things."""

from __future__ import annotations

import pytest

from evaluation import benchmarks, data
from evaluation.data import Dataset
from evaluation.protocol import CURRENT
from evaluation.samples import Completion
from evaluation.score import Score, average, score
from tests.evaluation.conftest import WriteRows


@pytest.fixture
def dataset(write_rows: WriteRows) -> Dataset:
    """Four items, all of them neutral."""
    folder = write_rows("tfns", [{"text": f"item {i}", "label": 2} for i in range(4)])
    return data.load(benchmarks.get("tfns"), folder, CURRENT, None)


def scored(dataset: Dataset, *texts: str | None) -> Score:
    completions = {f"{i}": Completion(f"{i}", text, "broke", 5, 2) for i, text in enumerate(texts)}
    return score(dataset, completions, seconds=1.5)


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
    assert score(dataset, answers, seconds=0).value == 1


def test_the_average_is_the_plain_mean_with_an_interval(dataset: Dataset) -> None:
    halves = scored(dataset, "neutral", "neutral", "positive", "positive")
    all_right = scored(dataset, *["neutral"] * 4)
    mean, interval = average([halves, all_right])
    assert mean == 0.75
    assert interval is not None
    assert interval[0] < 0.75 < interval[1] <= 1


def test_a_result_counts_its_tokens(dataset: Dataset) -> None:
    result = scored(dataset, "neutral", "neutral").as_dict()
    assert (result["tokens"], result["prompt_tokens"], result["generated_tokens"]) == (14, 10, 4)
    assert result["official"] is False
    assert result["official_reasons"]
