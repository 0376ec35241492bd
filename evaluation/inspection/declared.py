"""Scores that a submitter declares: percentages as printed, checked by what the benchmark's size allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from evaluation.benchmarks import BENCHMARKS
from evaluation.findings import Finding, Severity
from evaluation.statistics import possible_score

MAX_DECIMALS = 2


@dataclass(frozen=True, slots=True)
class DeclaredScore:
    """A benchmark's score in per cent with the decimals that it was printed with: 27.5 is not 27.50.

    Raises ValueError for anything but a percentage with at most `MAX_DECIMALS` decimals.
    """

    benchmark: str
    percent: Decimal

    def __post_init__(self) -> None:
        if not self.percent.is_finite() or not 0 <= self.percent <= 100 or self.decimals > MAX_DECIMALS:
            raise ValueError(f"{self.percent} is no percentage with at most {MAX_DECIMALS} decimals")

    @property
    def decimals(self) -> int:
        exponent = self.percent.as_tuple().exponent
        return max(0, -exponent) if isinstance(exponent, int) else 0


def check_declared_scores(scores: Sequence[DeclaredScore]) -> list[Finding]:
    """A warning for each score that no number of right answers gives, neither rounded nor truncated."""
    return [
        Finding("declared.impossible_score", Severity.WARNING, _message(score, scores), score.benchmark)
        for score in scores
        if not _fits(score)
    ]


def _fits(score: DeclaredScore, benchmark: str = "") -> bool:
    """Whether the figure is possible on its own benchmark, or on the one named."""
    return possible_score(score.percent, BENCHMARKS[benchmark or score.benchmark].rows, score.decimals)


def _message(score: DeclaredScore, scores: Sequence[DeclaredScore]) -> str:
    benchmark = BENCHMARKS[score.benchmark]
    below = int(score.percent * benchmark.rows / 100)
    neighbours = (
        f"{right:,} right are {_percent(right, benchmark.rows)}%"
        for right in range(below, min(below + 1, benchmark.rows) + 1)
    )
    return (
        f"{score.percent}% on {benchmark.title} is no score over its {benchmark.rows:,} items: "
        f"{', '.join(neighbours)}. {_hint(score, scores)}"
    )


def _hint(score: DeclaredScore, scores: Sequence[DeclaredScore]) -> str:
    """The mistake that would explain the figure, where there is one."""
    shorter = score.percent.quantize(Decimal("0.1"))
    if score.decimals > 1 and shorter == score.percent:
        fewer = DeclaredScore(score.benchmark, shorter)
        if _fits(fewer):
            return f"It would fit with one decimal, as {shorter}."
    for other in scores:
        rest = (s for s in scores if s not in (score, other))
        # Large benchmarks have room for most figures, so one that explains only a part explains nothing.
        if _fits(score, other.benchmark) and _fits(other, score.benchmark) and all(map(_fits, rest)):
            return f"It would fit if it and {BENCHMARKS[other.benchmark].title} were exchanged."
    return "Check that it is the score on the whole benchmark and on this one."


def _percent(right: int, items: int) -> Decimal:
    return (Decimal(100 * right) / items).quantize(Decimal("0.01"))
