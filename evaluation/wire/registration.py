"""What crosses between a register of digests, the workers that ask it and the processes that load data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from msgspec import Meta


@dataclass(frozen=True)
class Registration:
    """The rows that are taken for a data set's own from now on.

    `name` is a benchmark's, or the hub id of a training set; `rows` counts the benchmark's items, or the rows
    of the set. They come from `commit` of `dataset`, and `digest` tells them from others. `by` adopted them
    `at` that time (ISO 8601, UTC); empty where they were taken at first sight. What is noted of a field is
    checked where one is read, so that whatever a file holds a site's register can take.
    """

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    dataset: Annotated[str, Meta(min_length=1, max_length=200)]
    commit: Annotated[str, Meta(pattern=r"\A[0-9a-f]{40}\Z")]
    rows: Annotated[int, Meta(gt=0, lt=2**31)]
    digest: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
    by: Annotated[str, Meta(max_length=120, pattern=r"\A[^\x00]*\Z")]
    at: str

    def __post_init__(self) -> None:
        if datetime.fromisoformat(self.at).tzinfo is None:
            raise ValueError(f"{self.at} names no time zone")

    @property
    def origin(self) -> str:
        return f"{self.dataset}@{self.commit}"
