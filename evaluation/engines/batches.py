"""How prompts are put together into batches: always the same way, whatever order they come in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One tokenised prompt, with what was generated for it so far, and how many tokens may still come.

    `tokens` are the prompt's and, behind them, the `generated` ones.
    """

    key: str
    tokens: tuple[int, ...]
    budget: int
    generated: int = 0

    def extended(self, tokens: Sequence[int]) -> Row:
        """The row after `tokens` were generated."""
        count = len(tokens)
        return Row(self.key, (*self.tokens, *tokens), self.budget - count, self.generated + count)

    @property
    def answer(self) -> tuple[int, ...]:
        """The generated tokens."""
        return self.tokens[len(self.tokens) - self.generated :]


def compose(rows: Sequence[Row], batch_tokens: int, batch_rows: int) -> list[list[Row]]:
    """Batches of at most `batch_rows` rows and `batch_tokens` prompt tokens, padding included.

    Longest first, ties by key: what is in a batch does not depend on the order of `rows`, padding is small,
    and a device that is too small shows it at once. A row that alone exceeds the limit gets its own batch.
    """
    batches: list[list[Row]] = []
    for row in sorted(rows, key=lambda row: (-len(row.tokens), row.key)):
        size = len(batches[-1]) + 1 if batches else 0
        # The first row of a batch is its longest: all others are padded to its length.
        if not batches or size > batch_rows or size * len(batches[-1][0].tokens) > batch_tokens:
            batches.append([])
        batches[-1].append(row)
    return batches


def common_prefix(rows: Sequence[Row]) -> int:
    """Length of the longest common prefix of the rows' tokens that leaves each at least one token."""
    if not rows:
        return 0
    # The common prefix of all is that of the least and the greatest.
    low, high = min(row.tokens for row in rows), max(row.tokens for row in rows)
    length = 0
    for a, b in zip(low, high, strict=False):
        if a != b:
            break
        length += 1
    return min(length, *(len(row.tokens) - 1 for row in rows))
