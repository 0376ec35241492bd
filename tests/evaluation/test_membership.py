"""Tests of membership: areas and rates with their intervals, signals, exposure, and which rows count."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy
import pytest

from evaluation.errors import DataError
from evaluation.leakage.canaries import REFERENCES, canaries_of, exposure, references_of
from evaluation.leakage.report import FEWEST, by_client
from evaluation.leakage.signals import RowProbabilities, min_k, signals_of
from evaluation.running import leakage_rows
from evaluation.statistics.membership import area_under_curve, true_positives
from tests.evaluation.conftest import WriteRows

stats = pytest.importorskip("scipy.stats")


def test_the_area_is_that_of_mann_and_whitney() -> None:
    draw = numpy.random.default_rng(1)
    members, others = draw.integers(0, 9, 40).tolist(), draw.integers(0, 8, 30).tolist()
    u = stats.mannwhitneyu(members, others).statistic
    assert area_under_curve(members, others).value == pytest.approx(u / (40 * 30))


def test_its_interval_holds_the_true_area_in_95_of_100_cases() -> None:
    draw = numpy.random.default_rng(2)
    true = stats.norm.cdf(1 / math.sqrt(2))  # of two normal distributions that are one apart
    held = 0
    for _ in range(1_000):
        found = area_under_curve(draw.normal(1, 1, 60).tolist(), draw.normal(0, 1, 50).tolist())
        assert found.interval
        held += found.interval[0] <= true <= found.interval[1]
    assert 0.93 <= held / 1_000 <= 0.97


def test_where_all_are_told_apart_there_is_no_interval() -> None:
    found = area_under_curve([2.0, 3.0], [0.0, 1.0])
    assert (found.value, found.interval) == (1.0, None)
    with pytest.raises(ValueError, match="at least two"):
        area_under_curve([1.0], [0.0, 1.0])


def test_few_false_positives_leave_room_for_the_highest_others_alone() -> None:
    others = [float(value) for value in range(100)]
    # One of a hundred may be above: the threshold is the second highest.
    assert true_positives([98.5, 50.0, 120.0, 98.0], others).value == 0.5
    # Of ten none may.
    assert true_positives([9.5, 8.5], others[:10]).value == 0.5
    low, high = true_positives([98.5, 50.0] * 50, others).interval or (1.0, 0.0)
    assert low <= 0.5 <= high


def test_the_signals_are_means_of_logarithms() -> None:
    row = RowProbabilities(True, None, (-1.0, -2.0, -3.0, -4.0, -10.0, 0.0), (-5.0,) * 6)
    found = signals_of(row)
    assert found["loss_ratio"] == pytest.approx(-20 / 6 + 5)
    assert found["min_k"] == -7.0 and min_k((-1.0, -2.0)) == -2.0
    assert found["base_alone"] == -5.0


def test_of_clients_with_few_rows_nothing_is_said() -> None:
    others = [RowProbabilities(False, None, (-1.0,), (-1.0 - place / 50,)) for place in range(30)]
    held = [RowProbabilities(True, 0, (-1.0,), (-2.0 - place / 50,)) for place in range(FEWEST)]
    few = [RowProbabilities(True, 1, (-1.0,), (-2.0,))] * (FEWEST - 1)
    assert [one.client for one in by_client([*others, *held, *few])] == [0]


def test_a_canary_is_exposed_by_its_rank_alone() -> None:
    assert exposure(-1.0, [-2.0] * 255) == 8.0
    assert exposure(-3.0, [-2.0] * 255) == 0.0
    assert exposure(-2.0, [-2.0] * 255) == 0.0  # equal ones are likelier
    assert exposure(-2.0, [-1.0] * 127 + [-3.0] * 128) == 1.0


def test_canaries_depend_on_the_run_alone_and_are_not_among_their_references() -> None:
    held = canaries_of(7, 20, 3)
    assert held == canaries_of(7, 20, 3) != canaries_of(8, 20, 3)
    assert len({canary.client for canary in held}) == 3
    references = references_of(held[0], 7)
    assert len(set(references)) == REFERENCES and held[0] not in references
    assert {one.instruction for one in references} == {held[0].instruction}


class TestDeclared:
    """Of an adapter that was trained elsewhere, on the challenge's training set."""

    @pytest.fixture
    def items(self, write_rows: WriteRows) -> Path:
        posts = [{"sentence": f"$X {i}", "sentiment_score": 0.5, "format": "post"} for i in range(30)]
        write_rows("fpb", [{"sentence": f"Profit {i} rose.", "label": 2} for i in range(100)])
        write_rows("fiqa", posts)
        return write_rows("tfns", [{"text": f"Y {i} falls", "label": 0} for i in range(30)])

    @pytest.fixture
    def rows(self, tmp_path: Path) -> Path:
        file = tmp_path / "train.jsonl"
        asked = "What is the sentiment of this news? "
        asked += "Please choose an answer from {negative/neutral/positive}."
        rows = [{"instruction": asked, "input": f"Loss {i}.", "output": "negative"} for i in range(40)]
        rows += [{"instruction": "From strong negative to strong positive?", "input": "x", "output": "mild"}]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return file

    def test_benchmark_items_of_the_same_sources_stand_against_rows_that_ask_alike(
        self, items: Path, rows: Path
    ) -> None:
        found = leakage_rows.declared("finance", 1, rows, str(items), ()).looked
        members, others = ([one.row for one in found if one.is_member is kind] for kind in (True, False))
        # The quarter of FPB that is asked; the set has no tweets to compare those of FiQA and TFNS with.
        assert len(members) == len(others) == 25
        assert {row.instruction for row in members} == {row.instruction for row in others}
        assert all(row.input.startswith("Profit") and row.output == "positive" for row in others)

    def test_other_challenges_have_none(self, rows: Path) -> None:
        with pytest.raises(DataError, match="0 of the same source that were not"):
            leakage_rows.declared("medical", 1, rows, None, ())
