"""What is settled of a board's pairs for as long as it only grows, so that one more entry is held against the
others alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from evaluation.statistics.holm_limits import Count, Limits, Open
from evaluation.statistics.packed import PackedAnswers
from evaluation.statistics.significant import Bits, compare

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

_NAME = 16
_ROOM, _SHARE = 50, 500
"""A board may grow by so many entries and by one in so many: the more, the more pairs are held open."""


@dataclass(frozen=True)
class Settled:
    """Of the entries of one run on a board that had so many `entries`, at this error rate.

    `names` are those of each one's answers (`name_of`), `above` and `below` how many are better and worse
    whatever comes until the board has `most` entries, `z`, `higher` and `lower` the pairs of which that is
    open; all as bytes of numpy's, to be kept. `rejected` and `kept` are numbers of pairs.
    """

    alpha: float
    entries: int
    most: int
    names: bytes
    above: bytes
    below: bytes
    z: bytes
    higher: bytes
    lower: bytes
    rejected: int
    kept: int

    def taken_over(self, places: NDArray[numpy.int64], size: int, entries: int) -> Count:
        """The count that this is of, on a board of `entries`, its own now at those places among `size`."""
        import numpy

        count = Count(Limits(self.alpha, entries, self.most), size)
        count.limits.learn(self.rejected, self.kept)
        count.above[places] = numpy.frombuffer(self.above, numpy.int32)
        count.below[places] = numpy.frombuffer(self.below, numpy.int32)
        higher, lower = (places[numpy.frombuffer(end, numpy.int32)] for end in (self.higher, self.lower))
        count.add(Open(numpy.frombuffer(self.z, float), higher, lower))
        return count


def name_of(run: Sequence[PackedAnswers]) -> bytes:
    """A digest of complete answers, which tells them from all others."""
    name = blake2b(digest_size=_NAME)
    for answers in run:
        name.update(answers.items.to_bytes(8, "big") + answers.right_bytes)
    return name.digest()


def compare_single(
    bits: Bits, names: Sequence[bytes], alpha: float, entries: int, before: Settled | None
) -> tuple[Count, Settled]:
    """Count the pairs of the entries of one run on a board of so many `entries`, by position in `bits`.

    What is settled `before` is taken over where all that it is of are still there.
    """
    import numpy

    places = _places(names, before, alpha, entries)
    if before is None or places is None:
        most = entries + _ROOM + entries // _SHARE
        count = Count(Limits(alpha, entries, most), len(names))
        compare(bits, count)
    else:
        most = before.most
        count = before.taken_over(places, len(names), entries)
        known = places
        for added in numpy.setdiff1d(numpy.arange(len(names)), places):
            _add(bits, int(added), known, count)
            known = numpy.append(known, added)
    left = count.settle()
    return count, Settled(
        alpha=alpha,
        entries=entries,
        most=most,
        names=b"".join(names),
        above=count.above.astype(numpy.int32).tobytes(),
        below=count.below.astype(numpy.int32).tobytes(),
        z=left.z.tobytes(),
        higher=left.higher.astype(numpy.int32).tobytes(),
        lower=left.lower.astype(numpy.int32).tobytes(),
        rejected=count.limits.rejected,
        kept=count.limits.kept,
    )


def _places(
    names: Sequence[bytes], before: Settled | None, alpha: float, entries: int
) -> NDArray[numpy.int64] | None:
    """Where each entry of before is now; None where one is gone, or too many came. Those of equal answers may
    stand for each other."""
    import numpy

    if before is None or before.alpha != alpha or not before.entries <= entries <= before.most:
        return None
    found: dict[bytes, list[int]] = defaultdict(list)
    for place in reversed(range(len(names))):
        found[names[place]].append(place)
    places = []
    for start in range(0, len(before.names), _NAME):
        same = found.get(before.names[start : start + _NAME])
        if not same:
            return None
        places.append(same.pop())
    return numpy.array(places)


def _add(bits: Bits, added: int, others: NDArray[numpy.int64], count: Count) -> None:
    """Count the pairs of one entry with others."""
    import numpy

    z = bits.z(slice(added, added + 1), slice(None))[0, others]
    higher, lower = numpy.where(z > 0, added, others), numpy.where(z > 0, others, added)
    kept = abs(z) <= count.limits.possible
    count.limits.learn(0, int(kept.sum()))
    count.add(Open(abs(z), higher, lower).chosen(~kept))
