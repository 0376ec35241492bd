"""Tests of membership: areas and rates with their intervals, signals, exposure, and which rows count."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy
import pytest

from evaluation.errors import DataError
from evaluation.leakage.canaries import REFERENCES, canaries_of, exposure, references_of
from evaluation.leakage.report import by_client
from evaluation.leakage.signals import RowProbabilities, min_k, signals_of
from evaluation.leakage.sources import FEWEST, NONE_KNOWN, SAME_SOURCE
from evaluation.method.row_form import RowForm
from evaluation.rules.challenges import CHALLENGES
from evaluation.running import leakage_items
from evaluation.running.leakage import LeakagePlan, form_of
from evaluation.statistics.membership import Rate, area_under_curve, true_positives
from tests.evaluation.conftest import WriteRows

stats = pytest.importorskip("scipy.stats")


def test_the_area_is_that_of_mann_and_whitney() -> None:
    draw = numpy.random.default_rng(1)
    members, others = draw.integers(0, 9, 40).tolist(), draw.integers(0, 8, 30).tolist()
    u = stats.mannwhitneyu(members, others).statistic
    assert area_under_curve(members, others).value == pytest.approx(u / (40 * 30))


@pytest.mark.parametrize(
    ("members", "others", "apart"), [(60, 50, 1.0), (20, 20, 3.0), (20, 200, 3.0), (200, 200, 0.0)]
)
def test_its_interval_holds_the_true_area_in_95_of_100_cases(members: int, others: int, apart: float) -> None:
    draw = numpy.random.default_rng(2)
    true = stats.norm.cdf(apart / math.sqrt(2))  # of two normal distributions that are so far apart
    held = 0
    for _ in range(400):
        found = area_under_curve(draw.normal(apart, 1, members).tolist(), draw.normal(0, 1, others).tolist())
        assert found.interval
        held += found.interval[0] <= true <= found.interval[1]
    assert held / 400 >= 0.93


def test_members_that_scatter_more_than_others_are_covered_too() -> None:
    draw = numpy.random.default_rng(3)
    true = stats.norm.cdf(2 / math.sqrt(10))
    held = 0
    for _ in range(400):
        found = area_under_curve(draw.normal(2, 3, 20).tolist(), draw.normal(0, 1, 200).tolist())
        assert found.interval
        held += found.interval[0] <= true <= found.interval[1]
    assert held / 400 >= 0.92


def test_where_all_are_told_apart_few_rows_still_leave_room() -> None:
    few, many = [area_under_curve([2.0] * n, [0.0] * n).interval for n in (5, 500)]
    assert few and many and few[1] == many[1] == 1.0 and few[0] < 0.8 < 0.99 < many[0]


def test_scores_that_are_all_equal_tell_nothing() -> None:
    assert area_under_curve([0.0] * 30, [0.0] * 20) == Rate(0.5, None)


def test_too_few_scores_or_no_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="at least two"):
        area_under_curve([1.0], [0.0, 1.0])
    with pytest.raises(ValueError, match="finite"):
        area_under_curve([1.0, math.nan], [0.0, 1.0])


@pytest.mark.parametrize(("members", "others"), [(20, 20), (100, 100), (250, 500)])
def test_the_interval_of_true_positives_holds_that_of_the_threshold_of_all_others(
    members: int, others: int
) -> None:
    draw = numpy.random.default_rng(4)
    true = 1 - stats.norm.cdf(stats.norm.ppf(0.99) - 1.5)
    held = 0
    for _ in range(400):
        found = true_positives(draw.normal(1.5, 1, members).tolist(), draw.normal(0, 1, others).tolist())
        assert found.interval
        held += found.interval[0] <= true <= found.interval[1]
    assert held / 400 >= 0.95


def test_few_false_positives_leave_room_for_the_highest_others_alone() -> None:
    others = [float(value) for value in range(100)]
    # One of a hundred may be above: the threshold is the second highest.
    assert true_positives([98.5, 50.0, 120.0, 98.0], others).value == 0.5
    # Of ten none may.
    assert true_positives([9.5, 8.5], others[:10]).value == 0.5
    low, high = true_positives([98.5, 50.0] * 50, others).interval or (1.0, 0.0)
    assert low == 0 and high > 0.5  # a hundred others are too few to say that a score is above 99% of all
    many = [value / 10 for value in range(1_000)]
    low, high = true_positives([100.0, 50.0] * 50, many).interval or (1.0, 0.0)
    assert 0.3 < low < 0.5 < high < 0.7


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


def test_a_clients_rows_are_held_against_others_of_the_same_client() -> None:
    """What all rows of a client have in common is not taken for training."""
    easy = [RowProbabilities(kind, 0, (-1.0,), (-2.0 - i / 50,)) for i in range(20) for kind in (True, False)]
    hard = [RowProbabilities(kind, 1, (-1.0,), (-1.0 - i / 50,)) for i in range(20) for kind in (True, False)]
    assert [one.membership.auc for one in by_client([*easy, *hard])] == pytest.approx([0.5, 0.5])


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
        rows = [{"instruction": asked, "input": f"Gain {i}.", "output": "positive"} for i in range(40)]
        rows += [{"instruction": asked, "input": f"Loss {i}.", "output": "negative"} for i in range(40)]
        rows += [{"instruction": "From strong negative to strong positive?", "input": "x", "output": "mild"}]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return file

    def test_benchmark_items_of_the_same_sources_stand_against_rows_that_ask_alike(
        self, items: Path, rows: Path
    ) -> None:
        found = leakage_items.declared("finance", 1, rows, str(items), ()).looked
        members, others = ([one.row for one in found if one.is_member is kind] for kind in (True, False))
        # The quarter of FPB that is asked, all positive; the set has no tweets for those of FiQA and TFNS.
        assert len(members) == len(others) == 25
        assert {(row.instruction, row.output) for row in (*members, *others)} == {
            (others[0].instruction, "positive")
        }
        assert all(row.input.startswith("Profit") and row.output == "positive" for row in others)

    def test_no_text_is_looked_at_twice_and_none_that_the_set_has(self, items: Path, rows: Path) -> None:
        asked = json.loads(rows.read_text().splitlines()[0])["instruction"]
        with rows.open("a") as lines:
            for _ in range(6):  # FinGPT's set has FPB's rows six times
                line = {"instruction": asked, "input": "Again and again.", "output": "neutral"}
                lines.write(json.dumps(line) + "\n")
            for i in range(90):  # with another answer, and written otherwise
                line = {"instruction": asked, "input": f"profit {i}  rose.", "output": "neutral"}
                lines.write(json.dumps(line) + "\n")
        with pytest.raises(DataError, match=r"with \d rows that were trained on and \d of"):
            leakage_items.declared("finance", 1, rows, str(items), ())

    def test_every_other_challenge_says_why_it_has_none(self, rows: Path) -> None:
        assert {*SAME_SOURCE, *NONE_KNOWN} == set(CHALLENGES) and not {*SAME_SOURCE} & {*NONE_KNOWN}
        with pytest.raises(DataError, match="flashcards"):
            leakage_items.declared("medical", 1, rows, None, ())

    @pytest.mark.parametrize(
        ("template", "columns", "form"),
        [
            (None, None, RowForm("alpaca", ("input",))),
            ("fingpt", ("input",), RowForm("fingpt")),
            ("alpaca", ("instruction",), RowForm("alpaca", ("instruction",))),
            ("<script>", ("secrets",), RowForm("alpaca", ("input",))),
        ],
    )
    def test_rows_are_written_as_the_team_states_if_that_is_known(
        self, rows: Path, template: str | None, columns: tuple[str, ...] | None, form: RowForm
    ) -> None:
        plan = LeakagePlan("model", rows, "medical", 1, "fp32", rows, template=template, columns=columns)
        assert form_of(plan) == form
