"""Ranking as a pure function.

An entry's average is the plain mean over its challenge's benchmarks. Only entries that were evaluated
completely and under the same conditions are ranked against each other: official ones on the official
data, demonstration ones on all of the built-in data in one precision. Everything else stands apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

from evaluation.statistics import Interval, RankRange, Settled, interval_of_answers, ranked
from evaluation.statistics.seeds import Run, difference_over_seeds
from leaderboard.standing.entries import Entry, Standing, Track
from leaderboard.standing.seeds import Answers, joined

_ORDER = list(Track)
_PLACE = attrgetter("place")
_DECLARED = "declared, not evaluated here"


def standings(
    entries: Iterable[Entry],
    benchmarks: Sequence[str],
    answers: Mapping[int, Answers] | None = None,
    settled: MutableMapping[str, Settled] | None = None,
    *,
    kept: Sequence[Standing] = (),
) -> list[Standing]:
    """Place the entries of one challenge, official ones first, then the declared, those on
    demonstration data, and the unranked.

    `benchmarks` are the challenge's; an entry that lacks one or has unscored items is not ranked. `answers`
    are those of the entries by id, each in the order of `benchmarks`; entries of which they are not known, or
    are to other data than most, are ranked by the mean without a range. The result's order is total: average,
    then the older publication, then the id.

    What saves work and changes nothing: what is `settled` of the pairs of each ranking, which is renewed, and
    standings of the board before that are `kept`, whose entries are not among `entries` and are as they were,
    with all runs of their methods and the untuned models.
    """
    known = answers or {}
    joint = joined(entries, known)
    runs = {one.entry.id: [known[run.id].run for run in one.entry.runs] for one in kept if one.entry.runs}
    tested = _Tested(known, {**joint.runs, **runs})
    # Official scores all have the protocol's precision; demonstration ones may have any.
    alike: dict[tuple[Track, str], list[Entry]] = {}
    apart: list[Standing] = []
    for standing in (*kept, *_judged(_with_gains(joint.entries, kept, tested), benchmarks)):
        if standing.unranked_because and standing.unranked_because != _DECLARED:
            apart.append(standing)
        else:
            alike.setdefault((standing.track, standing.entry.precision), []).append(standing.entry)
    placed: list[Standing] = []
    for (track, precision), members in sorted(
        alike.items(), key=lambda item: (_ORDER.index(item[0][0]), item[0][1])
    ):
        members.sort(key=_PLACE)
        if track is Track.DECLARED:
            placed += [Standing(entry, track, None, unranked_because=_DECLARED) for entry in members]
        else:
            name = f"{track.value}:{precision}"
            ranges, after = tested.ranges(members, settled.get(name) if settled else None)
            if settled is not None and after:
                settled[name] = after
            placed += _placed(members, track, ranges)
    apart.sort(key=lambda standing: (_ORDER.index(standing.track), standing.entry.place))
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
            reach = RankRange(found.best, found.worst + untested) if untested else found
            standings.append(Standing(entry, track, rank, reach, groups[found.best]))
    return standings


@dataclass(frozen=True)
class _Tested:
    """By entry its complete answers, and of a mean those of all its runs."""

    answers: Mapping[int, Answers]
    runs: Mapping[int, Sequence[Run]]

    def ranges(
        self, members: Sequence[Entry], before: Settled | None
    ) -> tuple[dict[int, RankRange], Settled | None]:
        """Of the members whose answers are to the same data as most, and what is settled of them."""
        by_data: dict[tuple[tuple[str, int], ...], list[int]] = defaultdict(list)
        for entry in members:
            if own := self.answers.get(entry.id):
                by_data[own.data].append(entry.id)
        if not by_data:
            return {}, None
        tested = min(by_data.items(), key=lambda item: (-len(item[1]), item[0]))[1]
        repeats = {place: self.runs[pk][1:] for place, pk in enumerate(tested) if pk in self.runs}
        answers = [self.answers[pk] for pk in tested]
        names = [own.name for own in answers]
        found = ranked([own.run for own in answers], repeats, before=before, names=names)
        return dict(zip(tested, found.ranges, strict=True)), found.settled

    def gain_interval(self, own: int, base: int) -> Interval | None:
        """None where the answers of one are not known or are to other data, or tell nothing of chance."""
        one, other = self.answers.get(own), self.answers.get(base)
        if one is None or other is None or one.data != other.data:
            return None
        if own in self.runs:
            low, high = difference_over_seeds(self.runs[own], [other.run]).interval()
            return (low, high) if low < high else None
        return interval_of_answers(list(zip(one.run, other.run, strict=True)))


def _with_gains(entries: Sequence[Entry], kept: Iterable[Standing], tested: _Tested) -> list[Entry]:
    """The entries with what each gained over its untuned base model under the same conditions."""
    untuned: dict[object, tuple[int, float]] = {}
    for entry in sorted([*entries, *(one.entry for one in kept if not one.entry.adapted)], key=_PLACE):
        if not entry.adapted and entry.average is not None:
            untuned.setdefault(_conditions(entry), (entry.id, entry.average))
    return [
        entry
        if not entry.adapted or entry.average is None or (base := untuned.get(_conditions(entry))) is None
        else replace(
            entry, gain=entry.average - base[1], gain_interval=tested.gain_interval(entry.id, base[0])
        )
        for entry in entries
    ]


def _conditions(entry: Entry) -> object:
    """What two averages must share to be compared."""
    data = tuple((score.benchmark, score.data, score.n) for score in entry.scores)
    return entry.hub_id, entry.protocol, entry.precision, data


def _ranks(ranked: Sequence[Entry]) -> list[int]:
    """Competition ranks of entries sorted by average: equal averages share one, the next is skipped."""
    ranks: list[int] = []
    for position, entry in enumerate(ranked):
        tied = position > 0 and entry.average == ranked[position - 1].average
        ranks.append(ranks[-1] if tied else position + 1)
    return ranks


def _judged(entries: Iterable[Entry], benchmarks: Sequence[str]) -> Iterator[Standing]:
    """With their tracks, and why those that have no rank have none; the others' ranks come later."""
    for entry in entries:
        track = track_of(entry)
        yield Standing(entry, track, None, unranked_because=_why_unranked(entry, track, benchmarks))


def _why_unranked(entry: Entry, track: Track, benchmarks: Sequence[str]) -> str:
    if entry.flags:
        return "; ".join(flag.message for flag in entry.flags)
    if track is Track.DECLARED:
        return _DECLARED
    missing = [slug for slug in benchmarks if slug not in entry.by_benchmark]
    if missing:
        return f"not evaluated on {', '.join(missing)}"
    unscored = sum(score.unscored for score in entry.scores)
    if unscored:
        return f"{unscored} items have no score"
    if track is Track.UNOFFICIAL:
        return "; ".join(dict.fromkeys(reason for score in entry.scores for reason in score.reasons))
    return ""
