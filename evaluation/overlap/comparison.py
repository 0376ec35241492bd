"""Training data, row by row, against the indexes of benchmarks."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from hashlib import sha256

from evaluation.overlap.index import Index
from evaluation.overlap.ngrams import LONG, SHORT, digests, words
from evaluation.overlap.report import Matches, Report

_BUCKETS = 256  # by a digest's first byte: sorted one after another, they are all in order


class Comparison:
    """Takes rows, and keeps eight bytes of each n-gram."""

    def __init__(self, indexes: Sequence[Index]) -> None:
        self._indexes = indexes
        self._known = {digest for index in indexes for digest in index.digests}
        self._found: set[int] = set()
        self._all = [array("Q") for _ in range(_BUCKETS)]
        self._rows = 0

    def add(self, texts: Iterable[str]) -> None:
        """A row with its texts; none of its n-grams reaches from one into another."""
        self._rows += 1
        for text in texts:
            read = words(text)
            for n in (LONG, SHORT):
                seen = set(digests(read, n))
                self._found |= seen & self._known
                for digest in seen:
                    self._all[digest >> 56].append(digest)

    def report(self) -> Report:
        commitment, ngrams = sha256(), 0
        for bucket in self._all:
            for digest in sorted(set(bucket)):
                commitment.update(digest.to_bytes(8, "big"))
                ngrams += 1
        found = sorted(self._found)
        return Report(
            self._rows,
            ngrams,
            commitment.hexdigest(),
            {
                index.benchmark: Matches(index.data_digest, tuple(_covering(index, found)))
                for index in self._indexes
            },
        )


def _covering(index: Index, found: Sequence[int]) -> list[int]:
    """Of the digests that were found those that are needed to name every item that they touch."""
    covered: set[int] = set()
    needed: list[int] = []
    for digest in found:
        if not covered.issuperset(items := set(index.items_of(digest))):
            covered |= items
            needed.append(digest)
    return needed
