"""Runs of one method that differ in the seed become one entry: the mean over them. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from evaluation.statistics import PackedAnswers, name_of
from evaluation.statistics.seeds import Run, mean_over_seeds
from leaderboard.standing.entries import BenchmarkScore, Entry, SeedRun, Trust


@dataclass(frozen=True)
class Answers:
    """An entry's complete answers; `data` are of each benchmark the digest and the number of items."""

    data: tuple[tuple[str, int], ...]
    run: Run

    @classmethod
    def of(cls, answers: Iterable[tuple[str, PackedAnswers]]) -> Answers:
        """Of each benchmark the digest of the data and the answers."""
        digests, run = zip(*answers, strict=True)
        return cls(tuple((digest, own.items) for digest, own in zip(digests, run, strict=True)), run)

    @cached_property
    def name(self) -> bytes:
        return name_of(self.run)


@dataclass(frozen=True)
class Joined:
    """The entries of a board, and of those that are means the answers of all runs, the first run's first."""

    entries: list[Entry]
    runs: Mapping[int, Sequence[Run]]


def joined(entries: Iterable[Entry], answers: Mapping[int, Answers]) -> Joined:
    """Join the runs of each method that were evaluated alike, on the same data.

    The mean stands under the first run, or the eldest that is there. A run of which the answers are not
    known, or that was evaluated otherwise, stays an entry of its own.
    """
    alike: dict[object, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.id in answers and entry.adapted and not entry.flags:
            method = entry.repeats or entry.id, entry.protocol, entry.precision, answers[entry.id].data
            alike[method].append(entry)
        else:
            alike[entry.id].append(entry)
    found: list[Entry] = []
    runs: dict[int, Sequence[Run]] = {}
    for members in alike.values():
        members.sort(key=lambda entry: (entry.repeats is not None, entry.published_at, entry.id))
        first = members[0]
        if len(members) > 1:
            runs[first.id] = [answers[entry.id].run for entry in members]
            first = _mean(members, runs[first.id])
        found.append(first)
    return Joined(found, runs)


def _mean(members: Sequence[Entry], runs: Sequence[Run]) -> Entry:
    whole = mean_over_seeds(runs)
    return replace(
        members[0],
        trust=_trust([entry.trust for entry in members]),
        scores=tuple(_score(score, [[run[k]] for run in runs]) for k, score in enumerate(members[0].scores)),
        runs=tuple(
            SeedRun(entry.id, entry.average, entry.evaluation)
            for entry in members
            if entry.average is not None
        ),
        spread=whole.spread,
        over_seeds=whole.interval,
    )


def _trust(runs: Sequence[Trust]) -> Trust:
    """What retraining one of the runs showed is told of all, first that it was not reproduced."""
    return next((mark for mark in (Trust.NOT_REPRODUCED, Trust.REPRODUCED) if mark in runs), runs[0])


def _score(first: BenchmarkScore, runs: Sequence[Run]) -> BenchmarkScore:
    found = mean_over_seeds(runs)
    correct = round(found.value * first.n)
    return replace(first, value=found.value, correct=correct, over_seeds=found.interval)
