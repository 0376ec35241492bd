"""N-grams of words as 64-bit digests.

A text is normalised (NFKC, case folded) and cut into runs of letters and digits. Thirteen words in a row are
the n-gram by which GPT-3's authors looked for test items in training data (arXiv 2005.14165, appendix C),
eight their least, for benchmarks of short items. A digest is a BLAKE2b of 64 bits, personalised by n.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from hashlib import blake2b

LONG, SHORT = 13, 8
_WORD = re.compile(r"[^\W_]+")


def words(text: str) -> list[str]:
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def digests(read: Sequence[str], n: int) -> Iterator[int]:
    """Of every `n` words in a row."""
    person = b"ngram-%d" % n
    for at in range(len(read) - n + 1):
        window = " ".join(read[at : at + n]).encode()
        yield int.from_bytes(blake2b(window, digest_size=8, person=person).digest(), "big")


def item_digests(texts: Sequence[str]) -> frozenset[int]:
    """Those by which a test item is known: its 13-grams, or 8-grams where it has none; none of a shorter one.

    No n-gram reaches from one text of the item into another.
    """
    read = [words(text) for text in texts]
    for n in (LONG, SHORT):
        if found := frozenset(digest for each in read for digest in digests(each, n)):
            return found
    return frozenset()
