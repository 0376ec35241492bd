"""How prompts are put together into batches: always the same way, whatever order they come in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# A shared prefix costs a call of the model of its own. Below so many tokens saved, that is not worth it.
_LEAST_SAVING = 64


@dataclass(frozen=True)
class Prompt:
    """One tokenised prompt, with what was generated for it so far, and how many tokens may still come.

    `tokens` are the prompt's and, behind them, the `generated` ones. `seed` is for sampling.
    """

    key: str
    tokens: tuple[int, ...]
    budget: int
    generated: int = 0
    seed: int = 0

    def extended(self, tokens: Sequence[int]) -> Prompt:
        """The row after `tokens` were generated."""
        count = len(tokens)
        # Written out: `dataclasses.replace` takes half as long again, for each token of each row.
        return Prompt(
            self.key, (*self.tokens, *tokens), self.budget - count, self.generated + count, self.seed
        )

    @property
    def answer(self) -> tuple[int, ...]:
        """The generated tokens."""
        return self.tokens[len(self.tokens) - self.generated :]


@dataclass(frozen=True)
class Family:
    """Rows that begin with the same `shared` tokens, which are computed once for all of them."""

    shared: int
    rows: tuple[Prompt, ...]


@dataclass(frozen=True)
class Batch:
    """Rows that go through the model together, behind `shared` tokens that they all begin with."""

    shared: int
    rows: tuple[Prompt, ...]

    @property
    def width(self) -> int:
        """Tokens of the longest row."""
        return max(len(row.tokens) for row in self.rows)


def families(rows: Sequence[Prompt], *, sharing: bool = True) -> list[Family]:
    """The rows by what they share: first those that share only what all rows do, then deeper families.

    Without `sharing` all of them are one family that shares nothing.

    Questions about one passage share far more than the instruction: of MMLU's humanities, a sixth of all
    tokens. Each family's shared part is computed behind that of all rows.
    """
    if not sharing:
        return [Family(0, tuple(rows))]
    root = common_prefix(rows)
    if (len(rows) - 1) * root < _LEAST_SAVING:
        root = 0
    plain: list[Prompt] = []
    deeper: list[Family] = []
    for chain in _chains(sorted(rows, key=lambda row: (row.tokens, row.key)), root):
        shared = common_prefix(chain)
        if (len(chain) - 1) * (shared - root) < _LEAST_SAVING:
            plain += chain
        else:
            deeper.append(Family(shared, tuple(chain)))
    return [*([Family(root, tuple(plain))] if plain else []), *deeper]


def _chains(ordered: Sequence[Prompt], root: int) -> list[list[Prompt]]:
    """Neighbours in the order of their tokens, taken together as long as each one more saves more tokens."""
    chains: list[list[Prompt]] = []
    shared = root
    for row in ordered:
        if chains:
            chain = chains[-1]
            # In this order, what the first shares with the row all between them share too.
            with_row = common_prefix([chain[0], row])
            if len(chain) * (with_row - root) > (len(chain) - 1) * (shared - root):
                chain.append(row)
                shared = with_row
                continue
        chains.append([row])
    return chains


def compose(family: Family, batch_tokens: int, batch_rows: int) -> list[Batch]:
    """Batches of at most `batch_rows` rows and `batch_tokens` tokens, padding included, the shared ones not.

    Longest first, ties by key: what is in a batch does not depend on the order of the rows, padding is small,
    and a device that is too small shows it at once. A row that alone exceeds the limit gets its own batch.
    """
    batches: list[list[Prompt]] = []
    for row in sorted(family.rows, key=lambda row: (-len(row.tokens), row.key)):
        size = len(batches[-1]) + 1 if batches else 0
        # The first row of a batch is its longest: all others are padded to its length.
        if (
            not batches
            or size > batch_rows
            or size * (len(batches[-1][0].tokens) - family.shared) > batch_tokens
        ):
            batches.append([])
        batches[-1].append(row)
    return [Batch(family.shared, tuple(batch)) for batch in batches]


def common_prefix(rows: Sequence[Prompt]) -> int:
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
