"""Ranking as a pure function.

An entry's average is the plain mean over its challenge's benchmarks. Only entries that were evaluated
completely and under the same conditions are ranked against each other: official ones on the official
data, demonstration ones on all of the built-in data in one precision. Everything else stands apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace

from evaluation.statistics import Interval, PackedAnswers, RankRange, Settled, interval_of_answers, ranked
from evaluation.statistics.seeds import Run, difference_over_seeds
from leaderboard.standing.entries import Entry, Standing, Track
from leaderboard.standing.seeds import joined

_ORDER = list(Track)
_Shape = tuple[tuple[str, int], ...]
"""Of each benchmark the digest of the data and the number of items."""


@dataclass(frozen=True)
class Answers:
    """An entry's right answers to a benchmark, of the data with that digest."""

    digest: str
    packed: PackedAnswers


def standings(
    entries: Iterable[Entry],
    benchmarks: Sequence[str],
    answers: Mapping[int, tuple[Answers, ...]] | None = None,
    settled: MutableMapping[str, Settled] | None = None,
) -> list[Standing]:
    """Place the entries of one challenge, official ones first, then the declared, those on
    demonstration data, and the unranked.

    `benchmarks` are the challenge's; an entry that lacks one or has unscored items is not ranked. `answers`
    are those of the entries by id, each in the order of `benchmarks`; entries of which they are not known, or
    are to other data than most, are ranked by the mean without a range. The result's order is total: average,
    then the older publication, then the id. What is `settled` of the pairs of each ranking saves comparing
    them again, and is renewed; the result is the same without it.
    """
    # Official scores all have the protocol's precision; demonstration ones may have any.
    shapes = {number: _shape(found) for number, found in (answers or {}).items()}
    packed = {number: [one.packed for one in found] for number, found in (answers or {}).items()}
    joint = joined(entries, packed, shapes)
    known = _Known(packed, shapes, joint.runs)
    alike: dict[tuple[Track, str], list[Entry]] = {}
    apart: list[Standing] = []
    for entry in _with_gains(joint.entries, known):
        track = track_of(entry)
        reason = _why_unranked(entry, track, benchmarks)
        if reason and (track is not Track.DECLARED or entry.flags):
            apart.append(Standing(entry, track, None, unranked_because=reason))
        else:
            alike.setdefault((track, entry.precision), []).append(entry)
    placed: list[Standing] = []
    for (track, precision), members in sorted(
        alike.items(), key=lambda item: (_ORDER.index(item[0][0]), item[0][1])
    ):
        members.sort(key=_place)
        if track is Track.DECLARED:
            placed += [
                Standing(entry, track, None, unranked_because="declared, not evaluated here")
                for entry in members
            ]
        else:
            name = f"{track.value}:{precision}"
            ranges, after = known.ranges(members, settled.get(name) if settled else None)
            if settled is not None and after:
                settled[name] = after
            placed += _placed(members, track, ranges)
    apart.sort(key=lambda standing: (_ORDER.index(standing.track), _place(standing.entry)))
    return placed + apart


def track_of(entry: Entry) -> Track:
    if entry.scores and all(score.data == "declared" for score in entry.scores):
        return Track.DECLARED
    if entry.scores and all(score.official for score in entry.scores):
        return Track.OFFICIAL
    if entry.scores and all(s.data == "demonstration" and s.n == s.available for s in entry.scores):
        return Track.DEMONSTRATION
    return Track.UNOFFICIAL


def _placed(members: Sequence[Entry], track: Track, ranges: Mapping[int, RankRange]) -> list[Standing]:
    """By their average. An entry that was not tested is neither better nor worse than the others for sure."""
    untested = len(members) - len(ranges)
    groups = {best: group for group, best in enumerate(sorted({r.best for r in ranges.values()}), start=1)}
    standings = []
    for entry, rank in zip(members, _ranks(members), strict=True):
        found = ranges.get(entry.id)
        if found is None:
            standings.append(Standing(entry, track, rank))
        else:
            reach = RankRange(found.best, found.worst + untested)
            standings.append(Standing(entry, track, rank, reach, groups[found.best]))
    return standings


@dataclass(frozen=True)
class _Known:
    """By entry its complete answers, what they are to, and of a mean those of all its runs."""

    answers: Mapping[int, Run]
    shapes: Mapping[int, _Shape]
    runs: Mapping[int, Sequence[Run]]

    def ranges(
        self, members: Sequence[Entry], before: Settled | None
    ) -> tuple[dict[int, RankRange], Settled | None]:
        """Of the members whose answers are to the same data as most, and what is settled of them."""
        shapes = Counter(self.shapes[entry.id] for entry in members if entry.id in self.answers)
        if not shapes:
            return {}, None
        common = min(shapes.items(), key=lambda item: (-item[1], item[0]))[0]
        tested = [entry.id for entry in members if self.shapes.get(entry.id) == common]
        repeats = {place: self.runs[pk][1:] for place, pk in enumerate(tested) if pk in self.runs}
        found = ranked([self.answers[pk] for pk in tested], repeats, before=before)
        return dict(zip(tested, found.ranges, strict=True)), found.settled

    def gain_interval(self, own: int, base: int) -> Interval | None:
        """None where the answers of one are not known or are to other data, or tell nothing of chance."""
        if own not in self.answers or self.shapes[own] != self.shapes.get(base):
            return None
        if own in self.runs:
            low, high = difference_over_seeds(self.runs[own], [self.answers[base]]).interval()
            return (low, high) if low < high else None
        return interval_of_answers(list(zip(self.answers[own], self.answers[base], strict=True)))


def _shape(kept: Iterable[Answers]) -> _Shape:
    return tuple((answers.digest, answers.packed.items) for answers in kept)


def _with_gains(entries: Sequence[Entry], known: _Known) -> list[Entry]:
    """The entries with what each gained over its untuned base model under the same conditions."""
    untuned: dict[object, tuple[int, float]] = {}
    for entry in sorted(entries, key=_place):
        if not entry.adapted and entry.average is not None:
            untuned.setdefault(_conditions(entry), (entry.id, entry.average))
    return [
        entry
        if not entry.adapted or entry.average is None or (base := untuned.get(_conditions(entry))) is None
        else replace(
            entry, gain=entry.average - base[1], gain_interval=known.gain_interval(entry.id, base[0])
        )
        for entry in entries
    ]


def _conditions(entry: Entry) -> object:
    """What two averages must share to be compared."""
    data = tuple((score.benchmark, score.data, score.n) for score in entry.scores)
    return entry.hub_id, entry.protocol, entry.precision, data


def _place(entry: Entry) -> tuple[float, float, int]:
    return -(-1.0 if entry.average is None else entry.average), entry.published_at.timestamp(), entry.id


def _ranks(ranked: Sequence[Entry]) -> list[int]:
    """Competition ranks of entries sorted by average: equal averages share one, the next is skipped."""
    ranks: list[int] = []
    for position, entry in enumerate(ranked):
        tied = position > 0 and entry.average == ranked[position - 1].average
        ranks.append(ranks[-1] if tied else position + 1)
    return ranks


def _why_unranked(entry: Entry, track: Track, benchmarks: Sequence[str]) -> str:
    if entry.flags:
        return "; ".join(flag.message for flag in entry.flags)
    missing = [slug for slug in benchmarks if slug not in entry.by_benchmark]
    if missing:
        return f"not evaluated on {', '.join(missing)}"
    unscored = sum(score.unscored for score in entry.scores)
    if unscored:
        return f"{unscored} items have no score"
    if track is Track.UNOFFICIAL:
        return "; ".join(dict.fromkeys(reason for score in entry.scores for reason in score.reasons))
    return ""
