"""Holm's method over all pairs of a board, without holding them: limits close in as pairs become known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

_MOST_OPEN = 4_000_000
"""Pairs between the limits that may be added before all are looked at again, or as many as stayed then."""


class Limits:
    """Between which values of z Holm's method has its last critical value.

    It divides α by the tests that are not yet rejected. Whatever is known to be rejected lowers the value
    above which all are, `sure`; whatever is known not to be, and so the most that can be rejected, raises the
    one below which none is, `possible`. Of a pair only one direction can be rejected.

    Both stay right when the board grows up to `most` entries: `sure` is that of so many, and the last
    critical value never falls, as each new pair brings two tests and one rejection at most.
    """

    def __init__(self, alpha: float, entries: int, most: int) -> None:
        self._alpha = alpha
        self._pairs, self._most_tests = entries * (entries - 1) // 2, most * (most - 1)
        self.rejected = self.kept = 0
        self.learn(0, 0)

    def learn(self, rejected: int, kept: int) -> None:
        """So many more pairs are above `sure`, and so many are not above `possible`."""
        self.rejected += rejected
        self.kept += kept
        self.sure = self._critical(self._most_tests - self.rejected)
        self.possible = self._critical(self._pairs + self.kept + 1)

    def passing(self, falling: NDArray[numpy.float64]) -> int:
        """How many of the pairs that are left, by falling z, are rejected of the board as it is."""
        tests = 2 * self._pairs - self.rejected
        done, stretch = 0, falling.size
        while done < falling.size:
            stretch = min(stretch, falling.size - done)
            # A stretch whose last is above its first one's critical value has none that is not.
            if falling[done + stretch - 1] > self._critical(tests - done):
                done += stretch
            elif stretch == 1:
                break
            else:
                stretch = -(-stretch // 2)
        return done

    def _critical(self, tests: int) -> float:
        """The value that a standard normal variable exceeds with the probability α / `tests`."""
        return -NormalDist().inv_cdf(self._alpha / tests)


@dataclass(frozen=True)
class Open:
    """Pairs of entries, and z of the higher less the lower one."""

    z: NDArray[numpy.float64]
    higher: NDArray[numpy.int64]
    lower: NDArray[numpy.int64]

    @classmethod
    def joined(cls, parts: Sequence[Open]) -> Open:
        import numpy

        return cls(
            numpy.concatenate([part.z for part in parts]),
            numpy.concatenate([part.higher for part in parts]),
            numpy.concatenate([part.lower for part in parts]),
        )

    def chosen(self, which: NDArray[numpy.bool_] | NDArray[numpy.int64]) -> Open:
        return Open(self.z[which], self.higher[which], self.lower[which])


class Count:
    """Of each entry how many are better for sure and how many worse, and the pairs of which that is open."""

    def __init__(self, limits: Limits, entries: int) -> None:
        import numpy

        self.limits = limits
        self.above, self.below = numpy.zeros(entries, int), numpy.zeros(entries, int)
        self._open: list[Open] = []
        self._held, self._room = 0, _MOST_OPEN

    def of(self, places: NDArray[numpy.int64], entries: int) -> Count:
        """The same among more entries, of which these stand at those places."""
        more = Count(self.limits, entries)
        more.above[places], more.below[places] = self.above, self.below
        left = self.settle()
        more.add(Open(left.z, places[left.higher], places[left.lower]))
        return more

    def add(self, pairs: Open) -> None:
        """Hold pairs between the limits."""
        self._open.append(pairs)
        self._held += pairs.z.size
        if self._held > self._room:
            self.settle()

    def settle(self) -> Open:
        """Count those of the open pairs that the limits decide, as they are by now; what stays open."""
        import numpy

        left = Open.joined([Open(numpy.zeros(0), numpy.zeros(0, int), numpy.zeros(0, int)), *self._open])
        while True:
            rejected, kept = left.z > self.limits.sure, left.z <= self.limits.possible
            if not (rejected.any() or kept.any()):
                break
            self._reject(left.chosen(rejected))
            self.limits.learn(int(rejected.sum()), int(kept.sum()))
            left = left.chosen(~rejected & ~kept)
        self._open, self._held = [left], left.z.size
        self._room = left.z.size + max(_MOST_OPEN, left.z.size)
        return left

    def finish(self) -> None:
        """Reject what Holm's method does of the pairs that are left."""
        import numpy

        left = self.settle()
        falling = -numpy.sort(-left.z)
        passing = self.limits.passing(falling)
        if passing:  # and whatever equals the last one: the critical value falls with each
            self._reject(left.chosen(left.z >= falling[passing - 1]))
        self._open = []

    def _reject(self, pairs: Open) -> None:
        import numpy

        self.above += numpy.bincount(pairs.lower, minlength=self.above.size)
        self.below += numpy.bincount(pairs.higher, minlength=self.below.size)
