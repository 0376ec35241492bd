"""Entries side by side: what a comparison is asked for, what is read for it, and its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from urllib.parse import urlencode

from django.http import QueryDict

from evaluation.method.card import MethodCard
from evaluation.rules.protocol import PUBLIC
from evaluation.statistics import Interval, PackedAnswers
from leaderboard.board.column import Column, Group, Value
from leaderboard.board.columns import by_key, columns_of
from leaderboard.reading import snapshots
from leaderboard.reading.items import public_scores
from leaderboard.reading.queries import read
from leaderboard.standing.entries import Entry, Standing
from leaderboard.standing.pairing import Answered, Answers, refusal
from leaderboard.standing.ranking import track_of
from portal.runs.models import Score
from portal.submissions.models import Submission

MOST = 4
_SUBMISSION = ("pk", "challenge", "method_card")


@dataclass(frozen=True)
class Asked:
    """The entries that an address names, in its order, each once; `problems` are sentences on the rest."""

    entries: tuple[int, ...]
    problems: tuple[str, ...] = ()

    @classmethod
    def of(cls, query: QueryDict) -> Asked:
        """`entries` may be repeated and may hold several numbers with commas or spaces between."""
        words = [word for text in query.getlist("entries") for word in text.replace(",", " ").split()]
        numbers = [int(w) for w in words if _is_number(w)]
        strange = [w for w in words if not _is_number(w)]
        found = tuple(dict.fromkeys(numbers))
        problems = [f"“{word[:40]}” is no number of an entry." for word in strange[:3]]
        if len(found) > MOST:
            problems.append(f"At most {MOST} entries can be compared; these are the first {MOST}.")
        return cls(found[:MOST], tuple(problems))

    @staticmethod
    def query(entries: Sequence[int], **more: object) -> str:
        return urlencode({"entries": ",".join(map(str, entries))} | more, safe=",")


@dataclass(frozen=True)
class Compared:
    """An entry of a comparison with all that is shown of it."""

    entry: Entry
    standing: Standing
    card: MethodCard | None
    answers: Answers = field(default_factory=dict)

    @property
    def is_declared(self) -> bool:
        return self.entry.protocol == 0


@dataclass(frozen=True)
class ComparisonCell:
    """What an entry has in a row; `text` is "" where nothing is known; the others in SI units."""

    text: str
    basis: str = ""
    value: Value | None = None
    interval: Interval | None = None


@dataclass(frozen=True)
class ComparisonRow:
    """A row of the comparison: one cell an entry, in their order."""

    title: str
    unit: str
    cells: tuple[ComparisonCell, ...]

    @property
    def differs(self) -> bool:
        """Whether two entries are known to differ; what is not known is no difference."""
        return len({cell.text for cell in self.cells if cell.text}) > 1


def compared(entries: Sequence[int], protocol: int) -> list[Compared]:
    """Those of the entries that are published, in the order asked for; in a constant number of queries.

    Runs that differ in the seed are one entry, their mean, which stands once however many are asked for.
    With their figures under the protocol; those that have none under it with what they have, and no place.
    """
    published = Submission.objects.filter(pk__in=entries, status=Submission.Status.PUBLISHED)
    rows = {pk: (challenge, card) for pk, challenge, card in published.order_by().values_list(*_SUBMISSION)}
    standings = _standings({pk: challenge for pk, (challenge, _) in rows.items()}, protocol)
    answers = _answers({pk: standing.entry for pk, standing in standings.items()}, protocol)
    first = {standings[pk].entry.id: pk for pk in reversed(entries) if pk in standings}
    return [
        Compared(
            entry=standings[pk].entry,
            standing=standings[pk],
            card=MethodCard.from_json(card) if (card := rows[pk][1]) else None,
            answers=answers.get(pk, {}),
        )
        for pk in entries
        if pk in first.values()
    ]


def score_rows(members: Sequence[Compared], challenge: str) -> list[ComparisonRow]:
    """Averages and benchmarks of a challenge; entries of another have no figure there."""
    own = [m if m.entry.challenge == challenge else None for m in members]
    protocols = dict.fromkeys(m.entry.protocol or PUBLIC.number for m in own if m)
    found = {column.key: column for number in protocols for column in columns_of(challenge, number)}
    return _rows(own, [column for column in found.values() if column.group is Group.SCORE])


def cost_rows(members: Sequence[Compared]) -> list[ComparisonRow]:
    return _rows(members, [column for column in by_key().values() if column.group is Group.COST])


def method_rows(members: Sequence[Compared]) -> list[ComparisonRow]:
    """What the configurations say, in the words of their method cards."""
    cards = [dict(member.card.rows()) if member.card else {} for member in members]
    cards = [{"Base model": m.entry.hub_id} | card for m, card in zip(members, cards, strict=True)]
    labels = list(dict.fromkeys(label for card in cards for label in card))
    return [
        ComparisonRow(label, "", tuple(ComparisonCell(card.get(label, "")) for card in cards))
        for label in labels
    ]


def packed_answers(members: Sequence[Compared], benchmark: str) -> list[PackedAnswers]:
    """The answers of all entries, where they can be paired; else none."""
    kept = [member.answers.get(benchmark) for member in members]
    if any(refusal(kept[0], other) for other in kept):
        return []
    return [answered.packed for answered in kept if answered and answered.packed]


def _rows(members: Sequence[Compared | None], columns: Sequence[Column]) -> list[ComparisonRow]:
    """The rows in which some have a figure; None stands for an entry that has none in any."""
    rows = [
        ComparisonRow(
            c.title, c.unit, tuple(_cell(m.standing, c) if m else ComparisonCell("") for m in members)
        )
        for c in columns
    ]
    return [row for row in rows if any(cell.text for cell in row.cells)]


def _cell(standing: Standing, column: Column) -> ComparisonCell:
    interval = None if column.difference else column.interval_of(standing)
    return ComparisonCell(column.text(standing), column.basis_of(standing), column.value(standing), interval)


def _standings(challenges: Mapping[int, str], protocol: int) -> dict[int, Standing]:
    """By entry its place on the protocol's board; one without figures under it has none, and no gain."""
    boards = {slug: snapshots.current(slug, protocol) for slug in set(challenges.values())}
    found = {pk: known for pk, challenge in challenges.items() if (known := boards[challenge].by_id.get(pk))}
    if others := challenges.keys() - found.keys():
        reason = f"not evaluated under protocol {protocol}"
        for entry in read(Submission.objects.filter(pk__in=others)).entries:
            found[entry.id] = Standing(entry, track_of(entry), None, unranked_because=reason)
    return found


def _answers(entries: Mapping[int, Entry], protocol: int) -> Mapping[int, Answers]:
    """Those behind the figures that are shown of each."""
    found: dict[int, dict[str, Answered]] = {}
    others = [pk for pk, entry in entries.items() if entry.protocol not in (0, protocol)]
    here = {run.id for entry in entries.values() for run in entry.runs} | entries.keys()
    scores = [public_scores(here - set(others), protocol)]
    scores += [public_scores(others)] if others else []
    for score in chain.from_iterable(part.select_related("evaluation") for part in scores):
        found.setdefault(score.evaluation.submission_id, {})[score.benchmark] = _answered(score)
    for pk, entry in entries.items():
        for run in entry.runs:
            if run.id != pk:
                _add(found[pk], found[run.id])
    return found


def _add(answers: dict[str, Answered], run: Mapping[str, Answered]) -> None:
    """The answers of a further run of an entry's method, which the entry's mean holds complete."""
    for slug, own in answers.items():
        if packed := run[slug].packed:
            answers[slug] = replace(own, repeats=(*own.repeats, packed))


def _answered(score: Score) -> Answered:
    return Answered(
        score=score.pk,
        protocol=score.evaluation.protocol,
        precision=str(score.evaluation.provenance.get("precision") or ""),
        digest=score.data_digest,
        available=score.available,
        items=score.n,
        packed=_packed(score),
    )


def _packed(score: Score) -> PackedAnswers | None:
    """None where the bits are not those of all items, as of scores whose answers were not kept."""
    try:
        return PackedAnswers.from_bytes(score.n, bytes(score.correct_bits), bytes(score.scored_bits))
    except ValueError:
        return None


def _is_number(word: str) -> bool:
    return word.isdecimal() and word.isascii() and len(word) < 16
