"""Equal wrong answers of two entries, beside what others who erred on the same items have in common.

Right answers agree because they are right; wrong ones tell more, as in the detection of copied examinations
(Wollack 1997, Applied Psychological Measurement 21:307-320). On items that both got wrong, the chance of the
same answer is how often others gave that very answer when they were wrong there.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy
from numpy.typing import NDArray

from evaluation.resemblance.results import SharedMistakes
from evaluation.statistics import holm

Codes: TypeAlias = NDArray[numpy.uint16]
"""An item's wrong answer as a number from 1; 0 where it was right or not scored."""

# With fewer others nobody can say what chance would give, nor with fewer items both got wrong.
FEWEST_OTHERS = 4
FEWEST_ITEMS = 20
# From so many others on, how far they differ from the expected among themselves is taken into account.
_ENOUGH_FOR_SPREAD = 8
_PRIOR = 2.0  # others' worth of the mean over all items, on each item
_OF_NORMAL = 0.6745  # the median of |x| for a standard normal x


def codes(lines: Iterable[bytes], *, is_program: bool) -> Codes:
    """The wrong answers in an items file, in its order; of several attempts the first.

    A program is compared as it was written, any other answer as it was read. Raises ValueError for a
    damaged line.
    """
    found = []
    for line in lines:
        item = json.loads(line)
        if item.get("attempt"):
            continue
        answer = item.get("completion" if is_program else "prediction")
        wrong = item.get("correct") is False and answer is not None
        found.append(_code(str(answer)) if wrong else 0)
    return numpy.array(found, dtype=numpy.uint16)


def _code(answer: str) -> int:
    digest = hashlib.blake2b(answer.strip().encode("utf-8", "surrogatepass"), digest_size=2).digest()
    return int.from_bytes(digest, "little") or 1


@dataclass(frozen=True)
class _Agreement:
    both_wrong: int
    equal: int
    expected: float
    variance: float

    @property
    def excess(self) -> float | None:
        """In standard deviations; None where there is nothing to judge by."""
        if self.both_wrong < FEWEST_ITEMS or self.variance <= 0:
            return None
        return (self.equal - self.expected) / math.sqrt(self.variance)


class Chance:
    """What others answered where they were wrong, counted one entry at a time beside the `own` answers."""

    def __init__(self, own: Codes) -> None:
        self._own = own
        self._wrong = numpy.zeros(len(own))
        self._equal = numpy.zeros(len(own))
        self.others = 0

    def add(self, other: Codes) -> None:
        """Count an entry in, as many items long as one's own."""
        both, equal = self._beside(other)
        self._wrong += both
        self._equal += equal
        self.others += 1

    def agreement(self, other: Codes) -> _Agreement:
        """How one of the entries that were counted agrees, beside all of them but itself."""
        both, equal = self._beside(other)
        wrong, same = self._wrong - both, self._equal - equal
        mean = float(same.sum()) / float(wrong.sum()) if wrong.sum() else 0.0
        chances = ((same + _PRIOR * mean) / (wrong + _PRIOR))[both]
        return _Agreement(
            int(both.sum()), int(equal.sum()), float(chances.sum()), float((chances * (1 - chances)).sum())
        )

    def judged(self, agreements: Sequence[_Agreement]) -> list[SharedMistakes]:
        """The agreements with all others that were counted, with p values corrected by Holm for their number.

        Where the others differ by more than the items alone would make them, as entries of one kind of
        training do, their own median and spread are what chance is.
        """
        if self.others <= FEWEST_OTHERS:
            return [SharedMistakes(a.both_wrong, a.equal) for a in agreements]
        excesses = [a.excess for a in agreements]
        known = numpy.array([excess for excess in excesses if excess is not None])
        middle, spread = 0.0, 1.0
        if len(known) >= _ENOUGH_FOR_SPREAD:
            middle = max(0.0, float(numpy.median(known)))
            spread = max(1.0, float(numpy.median(numpy.abs(known - middle))) / _OF_NORMAL)
        tails = iter(holm([math.erfc((x - middle) / spread / math.sqrt(2)) / 2 for x in known.tolist()]))
        return [
            SharedMistakes(a.both_wrong, a.equal)
            if excess is None
            else SharedMistakes(
                a.both_wrong, a.equal, a.expected + middle * math.sqrt(a.variance), next(tails)
            )
            for a, excess in zip(agreements, excesses, strict=True)
        ]

    def _beside(self, other: Codes) -> tuple[NDArray[numpy.bool_], NDArray[numpy.bool_]]:
        both = (self._own > 0) & (other > 0)
        return both, both & (self._own == other)
