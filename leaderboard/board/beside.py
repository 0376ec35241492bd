"""The columns of what was measured beside the board: change elsewhere, leakage, and privacy spent."""

from __future__ import annotations

from evaluation.statistics import Interval
from leaderboard.board.column import ApiField, Column, Field, Group
from leaderboard.figures import percent, signed_points
from leaderboard.standing.entries import Standing


def _worst_elsewhere(standing: Standing) -> float | None:
    found = standing.entry.worst_elsewhere
    return found.difference if found else None


def _worst_elsewhere_interval(standing: Standing) -> Interval | None:
    found = standing.entry.worst_elsewhere
    return found.interval if found else None


def _worst_elsewhere_domain(standing: Standing) -> str | None:
    found = standing.entry.worst_elsewhere
    return found.domain if found else None


def _worst_elsewhere_end(standing: Standing, end: int) -> float | None:
    interval = _worst_elsewhere_interval(standing)
    return interval[end] if interval else None


BESIDE = (
    Column(
        "worst_elsewhere",
        "Worst elsewhere",
        _worst_elsewhere,
        lambda s: signed_points(_worst_elsewhere(s)) or "",
        "points",
        "1",
        group=Group.SCORE,
        interval=_worst_elsewhere_interval,
        difference=True,
        falls=True,
        meaning="The worst change against the base model on another domain: below zero it forgot",
        exported=(
            Field(
                "worst_elsewhere", "number", _worst_elsewhere, "fraction", "Worst change on another domain"
            ),
            Field("worst_elsewhere_low", "number", lambda s: _worst_elsewhere_end(s, 0), "fraction"),
            Field("worst_elsewhere_high", "number", lambda s: _worst_elsewhere_end(s, 1), "fraction"),
            Field("worst_elsewhere_domain", "text", _worst_elsewhere_domain, meaning="The domain it is on"),
        ),
        api=ApiField(
            "worst_elsewhere",
            "The worst change against the base model on another domain; null unless measured on all",
            interval="worst_elsewhere_interval",
        ),
    ),
    Column(
        "leakage",
        "Leakage",
        lambda s: s.entry.leakage.auc if s.entry.leakage else None,
        lambda s: f"{s.entry.leakage.auc:.3f}" if s.entry.leakage else "",
        "area",
        "1",
        basis=lambda s: s.entry.leakage.basis if s.entry.leakage else "",
        interval=lambda s: s.entry.leakage.interval if s.entry.leakage else None,
        meaning="How well the loss ratio tells training rows from others; 0.5: not at all",
        api=ApiField(
            "leakage_auc",
            "Area under the curve of a test of membership by the loss ratio; null where not measured",
            interval="leakage_auc_interval",
        ),
    ),
    Column(
        "leakage_found",
        "Training rows found",
        lambda s: s.entry.leakage.true_positives if s.entry.leakage else None,
        lambda s: (percent(s.entry.leakage.true_positives) or "") if s.entry.leakage else "",
        "%",
        "1",
        interval=lambda s: s.entry.leakage.true_positives_interval if s.entry.leakage else None,
        shown=False,
        meaning="Share of the training rows that the same test finds at 1% false positives",
    ),
    Column(
        "epsilon",
        "ε",
        lambda s: s.entry.leakage.epsilon if s.entry.leakage else None,
        lambda s: (
            f"{s.entry.leakage.epsilon:.2f}"
            if s.entry.leakage and s.entry.leakage.epsilon is not None
            else ""
        ),
        meaning="Differential privacy spent, of entries trained here whose leakage was measured",
    ),
)
