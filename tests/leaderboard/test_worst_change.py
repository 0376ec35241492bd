"""The worst of several changes: its interval holds the lowest true change, wherever that is."""

from __future__ import annotations

import numpy
import pytest

from evaluation.statistics import PackedAnswers
from leaderboard.standing.transfer import Pair, domain_change, worst_of

ITEMS = 400
TIMES = 300


def drawn(random: numpy.random.Generator, gained: float, lost: float) -> Pair:
    """An adapter that gains and loses such shares of the items against its base model."""
    base = random.random(ITEMS) < 0.5
    flips = random.random(ITEMS) < numpy.where(base, 2 * lost, 2 * gained)
    scored = numpy.packbits(numpy.ones(ITEMS, bool)).tobytes()
    adapter, untuned = (
        PackedAnswers.from_bytes(ITEMS, numpy.packbits(right).tobytes(), scored)
        for right in (base ^ flips, base)
    )
    return adapter, untuned


@pytest.mark.parametrize("lost", [(0.1, 0.1, 0.1), (0.15, 0.1, 0.1), (0.15, 0.15, 0.15)])
def test_it_holds_in_95_of_100_cases_wherever_the_worst_is(lost: tuple[float, ...]) -> None:
    random = numpy.random.default_rng(1)
    held = said_worse = 0
    for _ in range(TIMES):
        worst = worst_of(
            [
                domain_change(slug, [drawn(random, 0.1, share)], len(lost))
                for slug, share in zip(("general-nlp", "medical", "code"), lost, strict=True)
            ]
        )
        assert worst.interval
        held += worst.interval[0] <= 0.1 - max(lost) <= worst.interval[1]
        said_worse += worst.interval[1] < 0
    assert held / TIMES >= 0.95
    if lost == (0.1, 0.1, 0.1):  # nothing is worse anywhere
        assert said_worse / TIMES <= 0.04
