"""The tests of membership over rows, together and for each client's rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from evaluation.leakage.signals import TITLES, RowProbabilities, signals_of
from evaluation.leakage.sources import FEWEST
from evaluation.statistics.membership import area_under_curve, true_positives
from evaluation.wire.leakage import ClientLeakage, Membership

FALSE_POSITIVES = 0.01


def memberships(rows: Sequence[RowProbabilities]) -> tuple[Membership, ...]:
    """A test by each signal, in their order. Raises ValueError as `area_under_curve` does."""
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
    """Each client's rows, by the loss ratio, against others of the same client, or where none are known
    against all that nobody trained on; clients with fewer than FEWEST rows of either kind are left out."""
    of_client: dict[int, list[float]] = defaultdict(list)
    others: dict[int | None, list[float]] = defaultdict(list)
    for row in rows:
        ratio = signals_of(row)["loss_ratio"]
        if not row.is_member:
            others[row.client].append(ratio)
        elif row.client is not None:
            of_client[row.client].append(ratio)
    found = ((client, own, others.get(client, others[None])) for client, own in sorted(of_client.items()))
    return tuple(
        ClientLeakage(client, len(own), _tested("loss_ratio", own, untrained))
        for client, own, untrained in found
        if min(len(own), len(untrained)) >= FEWEST
    )


def _tested(signal: str, members: Sequence[float], others: Sequence[float]) -> Membership:
    area = area_under_curve(members, others)
    rate = true_positives(members, others, FALSE_POSITIVES)
    return Membership(signal, area.value, area.interval, rate.value, rate.interval)
