"""Of which others an adapter may have been merged, told from sketches; their files then confirm it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy

from evaluation.resemblance.factors import Values
from evaluation.resemblance.sketches import SIGNIFICANT, Sketch, shared

MOST_PARTS = 4


def likely_parts(whole: Sketch, pool: Sequence[Sketch]) -> tuple[int, ...]:
    """Positions in the pool of those that together explain the update best, at most `MOST_PARTS`.

    Orthogonal matching pursuit (Pati, Rezaiifar and Krishnaprasad 1993): each step takes the one that is most
    like what is left, as long as that is beyond chance. Empty for an update of zero.
    """
    if not pool or not whole.norm:
        return ()
    probes = min([whole.probes, *(part.probes for part in pool)])
    target = whole.vector(probes=probes).ravel()
    columns = numpy.stack([_aligned(part, whole, probes) for part in pool], axis=1)
    lengths = numpy.linalg.norm(columns, axis=0)
    lengths[lengths == 0] = math.inf
    squares = whole.norms.astype(numpy.float64) ** 2
    chance = SIGNIFICANT * float(numpy.linalg.norm(squares)) / (math.sqrt(probes) * whole.norm**2)
    chosen: list[int] = []
    left = target
    while len(chosen) < min(MOST_PARTS, len(pool)):
        size = float(numpy.linalg.norm(left))
        if size <= 1e-3 * float(numpy.linalg.norm(target)):
            break
        likeness = numpy.abs(left @ columns) / (lengths * size)
        likeness[chosen] = 0
        best = int(numpy.argmax(likeness))
        if likeness[best] < chance:
            break
        chosen.append(best)
        weights, *_ = numpy.linalg.lstsq(columns[:, chosen], target, rcond=None)
        left = target - columns[:, chosen] @ weights
    return tuple(chosen)


def _aligned(part: Sketch, whole: Sketch, probes: int) -> Values:
    """The part's numbers on the modules of the whole, zeros where it has none."""
    rows, own = shared(whole, part)
    result = numpy.zeros((len(whole.keys), probes), dtype=numpy.float32)
    result[rows] = part.vector(probes=probes)[own]
    return result.ravel()
