"""The digests of a benchmark's items, sorted, with the items that each belongs to; and their file.

The file is a line of JSON, then the digests as unsigned 64-bit and the items' numbers as unsigned 32-bit
integers, both little-endian and of equal number. It says nothing of an item to whoever has not its words.
"""

from __future__ import annotations

import json
import sys
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from evaluation.errors import DataError
from evaluation.overlap.ngrams import item_digests

FORMAT = "flowertune-ngrams/1"
MOST_ITEMS_OF_AN_NGRAM = 10
"""An n-gram of more items is a form that they are written in, and tells of none; GPT-3's authors left those
out that stand in more than ten documents."""

_NUMBER = 2**32
_WIDTHS = (("Q", 8), ("I", 4))


@dataclass(frozen=True)
class Index:
    """`items` are all of the benchmark, `comparable` those with an n-gram of their own.

    `data_digest` is that of the benchmark's rows. `digests` and `numbers` go together: a digest stands there
    once for each of its items.
    """

    benchmark: str
    data_digest: str
    items: int
    comparable: int
    digests: array[int]
    numbers: array[int]

    def items_of(self, digest: int) -> Iterator[int]:
        at = bisect_left(self.digests, digest)
        while at < len(self.digests) and self.digests[at] == digest:
            yield self.numbers[at]
            at += 1

    def to_bytes(self) -> bytes:
        head = {
            "format": FORMAT,
            "benchmark": self.benchmark,
            "data_digest": self.data_digest,
            "items": self.items,
            "comparable": self.comparable,
            "digests": len(self.digests),
        }
        return json.dumps(head).encode() + b"\n" + b"".join(map(_little, (self.digests, self.numbers)))

    @classmethod
    def from_bytes(cls, content: bytes) -> Index:
        """Raises DataError."""
        line, _, body = content.partition(b"\n")
        try:
            head = json.loads(line)
            count = int(head["digests"])
            if head["format"] != FORMAT or len(body) != count * sum(width for _, width in _WIDTHS):
                raise ValueError
            digests, numbers = _array("Q", body[: 8 * count]), _array("I", body[8 * count :])
            return cls(
                str(head["benchmark"]),
                str(head["data_digest"]),
                int(head["items"]),
                int(head["comparable"]),
                digests,
                numbers,
            )
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DataError("this is no file of a benchmark's n-grams, or not all of it") from error


def build(benchmark: str, data_digest: str, items: Iterable[Sequence[str]]) -> Index:
    """The index of items, each its texts, in the benchmark's order."""
    found = [item_digests(texts) for texts in items]
    shared = Counter(digest for digests in found for digest in digests)
    # One whole number of both, which sorts fast and takes little room.
    pairs = sorted(
        digest * _NUMBER + number
        for number, digests in enumerate(found)
        for digest in digests
        if shared[digest] <= MOST_ITEMS_OF_AN_NGRAM
    )
    return Index(
        benchmark,
        data_digest,
        len(found),
        len({pair % _NUMBER for pair in pairs}),
        array("Q", (pair // _NUMBER for pair in pairs)),
        array("I", (pair % _NUMBER for pair in pairs)),
    )


def _little(numbers: array[int]) -> bytes:
    if sys.byteorder == "big":
        numbers = array(numbers.typecode, numbers)
        numbers.byteswap()
    return numbers.tobytes()


def _array(kind: str, content: bytes) -> array[int]:
    numbers: array[int] = array(kind)
    numbers.frombytes(content)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
