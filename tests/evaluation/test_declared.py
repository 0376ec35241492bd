"""Scores as printed: which of them some number of right answers gives."""

from __future__ import annotations

import csv
import math
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.findings import Severity
from evaluation.inspection.declared import DeclaredScore, check_declared_scores
from evaluation.rules.protocol import PUBLIC
from evaluation.statistics import possible_score

ITEMS = st.integers(1, 400)
DECIMALS = st.integers(0, 3)


@given(n=ITEMS, decimals=DECIMALS, data=st.data())
def test_what_a_score_prints_as_is_possible(n: int, decimals: int, data: st.DataObject) -> None:
    steps = Fraction(data.draw(st.integers(0, n)), n) * 100 * 10**decimals
    for printed in {math.floor(steps), round(steps), math.floor(steps + Fraction(1, 2))}:
        assert possible_score(Decimal(printed).scaleb(-decimals), n, decimals)


@given(n=st.integers(1, 60), decimals=st.integers(0, 2), data=st.data())
def test_nothing_else_is(n: int, decimals: int, data: st.DataObject) -> None:
    whole = 100 * 10**decimals
    printed = data.draw(st.integers(0, whole))
    counts = [Fraction(k * whole, n) for k in range(n + 1)]
    fits = any(math.floor(c) == printed or abs(c - printed) <= Fraction(1, 2) for c in counts)
    assert possible_score(Decimal(printed).scaleb(-decimals), n, decimals) == fits


def test_decimals_that_are_printed_count() -> None:
    assert possible_score(Decimal("27.5"), 4183, 1)
    assert not possible_score(Decimal("27.50"), 4183, 2)


@pytest.mark.parametrize(("text", "possible"), [("0", True), ("100", True), ("0.00", True), ("100.00", True)])
def test_nothing_and_everything_right_are_possible(text: str, possible: bool) -> None:
    value = Decimal(text)
    assert possible_score(value, 7, DeclaredScore("fpb", value).decimals) == possible


@pytest.mark.parametrize(
    ("text", "n", "decimals"), [("1.23", 10, 1), ("NaN", 10, 2), ("1", 0, 2), ("1", 9, -1)]
)
def test_what_is_no_printed_score_is_an_error(text: str, n: int, decimals: int) -> None:
    with pytest.raises(ValueError, match="no percentage"):
        possible_score(Decimal(text), n, decimals)


@pytest.mark.parametrize("text", ["-0.01", "100.01", "12.345", "NaN", "Infinity"])
def test_a_declared_score_is_a_percentage_with_two_decimals(text: str) -> None:
    with pytest.raises(ValueError, match="no percentage"):
        DeclaredScore("fpb", Decimal(text))


def test_an_impossible_score_is_a_warning_with_the_nearest_possible_ones() -> None:
    (finding,) = check_declared_scores([DeclaredScore("pubmedqa", Decimal("59.94"))])
    assert (finding.code, finding.severity) == ("declared.impossible_score", Severity.WARNING)
    assert finding.location == "pubmedqa"
    assert "299 right are 59.80%, 300 right are 60.00%" in finding.message


def test_exchanged_columns_are_recognised() -> None:
    scores = [DeclaredScore("medmcqa", Decimal("68.34")), DeclaredScore("medqa", Decimal("60.31"))]
    (finding,) = check_declared_scores(scores)
    assert "exchanged" in finding.message and "MedMCQA" in finding.message


def test_the_public_boards_impossible_rows_are_those_that_its_readme_lists(shared: Path) -> None:
    found = {}
    with (shared / "board" / "public_board.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            benchmarks = PUBLIC.benchmarks[row["challenge"]]
            printed = [Decimal(row[f"score_{i}"]) for i in range(1, len(benchmarks) + 1)]
            findings = check_declared_scores(list(map(DeclaredScore, benchmarks, printed)))
            if findings:
                found[row["challenge"], int(row["rank"])] = [finding.location for finding in findings]
    assert found == {
        ("medical", 5): ["medqa"],
        ("medical", 6): ["pubmedqa"],
        ("medical", 10): ["pubmedqa", "medqa", "careqa"],
        ("medical", 12): ["medqa"],
        ("medical", 16): ["medmcqa", "medqa", "careqa"],
    }
