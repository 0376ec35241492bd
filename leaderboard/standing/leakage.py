"""What an adapter was found to give away of its training rows. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from evaluation.statistics import Interval


@dataclass(frozen=True)
class LeakageFigure:
    """By the loss ratio to the base model: the area under the curve (0.5: nothing is told), and the share of
    training rows that are found at 1% false positives, each with its 95% interval.

    `basis` says how it is known which rows were trained on: "measured" of what was trained here, else
    "declared". `epsilon` is what the training spent of differential privacy, None without it or unknown.
    """

    auc: float
    interval: Interval | None
    true_positives: float
    true_positives_interval: Interval | None
    basis: str
    epsilon: float | None
