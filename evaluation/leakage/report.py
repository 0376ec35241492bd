"""The tests of membership over rows, together and for each client's rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from evaluation.leakage.signals import TITLES, RowProbabilities, signals_of
from evaluation.statistics.membership import area_under_curve, true_positives
from evaluation.wire.leakage import ClientLeakage, Membership

FALSE_POSITIVES = 0.01
FEWEST = 10
"""Of a client's rows; of fewer nothing is said."""


def memberships(rows: Sequence[RowProbabilities]) -> tuple[Membership, ...]:
    """A test by each signal, in their order. Raises ValueError with fewer than two rows of a kind."""
    found = [(row.is_member, signals_of(row)) for row in rows]
    return tuple(
        _tested(
            name,
            [signals[name] for is_member, signals in found if is_member],
            [signals[name] for is_member, signals in found if not is_member],
        )
        for name in TITLES
    )


def by_client(rows: Sequence[RowProbabilities]) -> tuple[ClientLeakage, ...]:
    """Each client's rows against all that nobody trained on, by the loss ratio; clients of few left out."""
    others = [signals_of(row)["loss_ratio"] for row in rows if not row.is_member]
    of_client: dict[int, list[float]] = defaultdict(list)
    for row in rows:
        if row.is_member and row.client is not None:
            of_client[row.client].append(signals_of(row)["loss_ratio"])
    return tuple(
        ClientLeakage(client, len(own), _tested("loss_ratio", own, others))
        for client, own in sorted(of_client.items())
        if len(own) >= FEWEST
    )


def _tested(signal: str, members: Sequence[float], others: Sequence[float]) -> Membership:
    area = area_under_curve(members, others)
    rate = true_positives(members, others, FALSE_POSITIVES)
    return Membership(signal, area.value, area.interval, rate.value, rate.interval)
