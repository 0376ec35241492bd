"""A run's answers to one benchmark as bits: which items were scored, and which of them are right.

The form in which scores are stored and written: `numpy.packbits` in item order, the first item in the
highest bit of the first byte, the last byte filled with zeros.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class PackedAnswers:
    """Answers to `items` items: which are right and which were scored. None is right that was not scored."""

    items: int
    right_bytes: bytes
    scored_bytes: bytes

    @classmethod
    def from_bytes(cls, items: int, right: bytes, scored: bytes) -> PackedAnswers:
        """Raises ValueError when the bits are not those of `items` answers."""
        answers = cls(items, _checked(items, right), _checked(items, scored))
        if answers.right & ~answers.scored:
            raise ValueError("an item is right that is not scored")
        return answers

    @classmethod
    def all_scored(cls, items: int, right: bytes) -> PackedAnswers:
        """The same where every item is scored."""
        return cls(items, _checked(items, right), _every(items))

    @classmethod
    def from_base64(cls, items: int, right: str, scored: str) -> PackedAnswers:
        """The same from the text that results files hold."""
        return cls.from_bytes(items, decode(right), decode(scored))

    @property
    def right(self) -> int:
        """One integer of as many bits as items, the first item in the highest: counting over them takes a
        microsecond and no library."""
        return int.from_bytes(self.right_bytes, "big") >> -self.items % 8

    @property
    def scored(self) -> int:
        return int.from_bytes(self.scored_bytes, "big") >> -self.items % 8

    @property
    def right_count(self) -> int:
        return self.right.bit_count()

    @property
    def scored_count(self) -> int:
        return self.scored.bit_count()

    @property
    def complete(self) -> bool:
        return self.scored_bytes == _every(self.items)


@dataclass(frozen=True)
class Discordance:
    """How two runs fared on the `items` that both have scored, in numbers of items.

    Those that are `only_a` or `only_b` right are discordant: they alone tell the runs apart.
    """

    items: int
    both: int
    only_a: int
    only_b: int

    @property
    def difference(self) -> float:
        """a's proportion right less b's, on these items."""
        return (self.only_a - self.only_b) / self.items

    @property
    def right_a(self) -> int:
        return self.both + self.only_a

    @property
    def right_b(self) -> int:
        return self.both + self.only_b


def discordance(a: PackedAnswers, b: PackedAnswers) -> Discordance:
    """Count the items that both have scored by who is right. Raises ValueError for different numbers."""
    if a.items != b.items:
        raise ValueError(f"answers to {a.items} items cannot be paired with answers to {b.items}")
    scored = a.scored & b.scored
    return Discordance(
        items=scored.bit_count(),
        both=(a.right & b.right).bit_count(),
        only_a=(a.right & ~b.right & scored).bit_count(),
        only_b=(b.right & ~a.right & scored).bit_count(),
    )


def decode(text: str) -> bytes:
    """The bytes of base64 text. Raises ValueError when it is not base64."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from error


@cache
def _every(items: int) -> bytes:
    size, padding = _size(items)
    return ((1 << items) - 1 << padding).to_bytes(size, "big")


def _checked(items: int, packed: bytes) -> bytes:
    size, padding = _size(items)
    if len(packed) != size:
        raise ValueError(f"{items} items take {size} bytes of bits, not {len(packed)}")
    if packed[-1] & ((1 << padding) - 1):
        raise ValueError(f"bits are set beyond the {items} items")
    return packed


def _size(items: int) -> tuple[int, int]:
    """Bytes that so many items take, and bits that fill up the last one."""
    if items <= 0:
        raise ValueError(f"{items} is no number of items")
    return (items + 7) // 8, -items % 8
