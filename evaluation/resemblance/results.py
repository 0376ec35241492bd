"""What comparisons of adapters and of answers say; light to import, since pages show it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Comparison:
    """An adapter's update beside another's; None for what a zero leaves undefined.

    `cosine` is that of the whole updates, `lowest`, `median` and `highest` those of the `shared` modules that
    both change, of `modules` and `other_modules`. `ratio` is the length of the update by the other's, `rank`
    and `other_rank` the highest of a module. `within` is the share of the update (of its squared length) that
    lies in the column and row spaces of the other's: 1 for a copy whose ranks were cut or weighed anew.
    `start` is the cosine of the first factors, lora_A, which stays high for trainings that begin with the
    same numbers.
    """

    cosine: float | None
    lowest: float | None
    median: float | None
    highest: float | None
    shared: int
    modules: int
    other_modules: int
    ratio: float | None
    rank: int
    other_rank: int
    within: float | None
    start: float | None


@dataclass(frozen=True)
class Mixture:
    """An update as a sum of others: a weight for each, and the share of its squared length that they explain.

    `averaged` says that it is the factors that were added up, which leaves products of one's b with another's
    a; the share counts these too.
    """

    weights: tuple[float, ...]
    explained: float
    averaged: bool


@dataclass(frozen=True)
class SharedMistakes:
    """Of `both_wrong` items, on how many the answers are `equal`, and on how many chance would have them so.

    `p` is the probability of as many by chance, corrected for the number of entries that were compared; None
    where too few items or others are there to tell.
    """

    both_wrong: int
    equal: int
    expected: float | None = None
    p: float | None = None
