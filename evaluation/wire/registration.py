"""What crosses between a register of digests, the workers that ask it and the processes that load data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Registration:
    """The rows that are taken for a data set's own from now on.

    `name` is a benchmark's, or the hub id of a training set; `rows` counts the benchmark's items, or the rows
    of the set. They come from `commit` of `dataset`, and `digest` tells them from others. `by` adopted them
    `at` that time (ISO 8601, UTC); empty where they were taken at first sight.
    """

    name: str
    dataset: str
    commit: str
    rows: int
    digest: str
    by: str
    at: str

    @property
    def origin(self) -> str:
        return f"{self.dataset}@{self.commit}"
