"""A board built from the one before: what changed is read anew, all else is kept.

What an entry is follows from its submission, the evaluation of it that counts, what retraining showed, and
what was measured beside the boards. The first three are looked up for every entry. Where an untuned model
changed, which others are held against, or something was measured beside the boards, all is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from itertools import chain

from django.db.models import Q

from evaluation import rules
from evaluation.rules.protocol import PUBLIC
from evaluation.statistics import Settled
from leaderboard.reading.queries import Reading, counting, public_at, read
from leaderboard.reading.snapshot_format import Facts, Part, Snapshot, facts_of, without
from leaderboard.standing.entries import Standing
from leaderboard.standing.ranking import standings
from leaderboard.standing.seeds import Answers
from portal.runs.reproductions import marks_of
from portal.submissions.models import Submission

_MOST = 1000
"""So many changed submissions are read by themselves at most."""

Known = Mapping[int, Answers | None]
"""What a process remembers of the last board that it built: the answers of each evaluation that counted, None
where not all were kept."""


@dataclass(frozen=True)
class Placed:
    """The standings, what is known then, and the parts of the board before that stay."""

    standings: list[Standing]
    known: Known
    parts: Mapping[int, Part]


def known_from(reading: Reading) -> dict[int, Answers | None]:
    return {
        entry.evaluation: reading.answers.get(entry.id)
        for entry in reading.entries
        if entry.evaluation is not None
    }


def grown(before: Snapshot, known: Known, settled: MutableMapping[str, Settled]) -> Placed | None:
    """The board today; None where all is to be read."""
    stood = dict(chain.from_iterable(part.facts.items() for part in before.parts.values()))
    changed = _changed(before, stood, known)
    if len(changed) > _MOST:
        return None
    changed = _with_fellows(changed)
    touched = (part for part in before.parts.values() if not changed.isdisjoint(part.facts))
    gone = [entry for part in touched for entry in part.entries if not changed.isdisjoint(facts_of([entry]))]
    changed |= facts_of(gone).keys()
    found = read(
        public_at(before.challenge).filter(pk__in=changed), protocol=before.protocol, with_answers=True
    )
    if not all(entry.adapted for entry in (*found.entries, *gone)):
        return None
    counted = {
        number: evaluation
        for number, (_, evaluation) in stood.items()
        if evaluation is not None and number not in changed
    }
    answers = {number: own for number, evaluation in counted.items() if (own := known[evaluation])}
    away = set(map(id, gone))
    placed = standings(
        found.entries,
        rules.of(before.challenge, before.protocol).benchmarks,
        {**answers, **found.answers},
        settled,
        kept=[standing for standing in before.standings if id(standing.entry) not in away],
    )
    return Placed(
        placed,
        {evaluation: known[evaluation] for evaluation in counted.values()} | known_from(found),
        without(before.parts, (*gone, *found.entries)),
    )


def _changed(before: Snapshot, stood: Facts, known: Known) -> set[int]:
    """The submissions that are not as they stood, or of which the answers are not known. Those that were
    retrained are few: they are among them each time."""
    stand = _facts(before)
    changed = {
        number
        for number, fact in stand.items()
        if stood.get(number) != fact or (fact[1] is not None and fact[1] not in known)
    }
    changed |= stood.keys() - stand.keys()
    changed |= marks_of(public_at(before.challenge).order_by().values("pk")).keys()
    return changed.union(*(part.retrained for part in before.parts.values()))


def _facts(board: Snapshot) -> Facts:
    """What stands in the database today."""
    public = public_at(board.challenge)
    found: dict[int, tuple[int, int | None]] = {}
    if board.protocol == PUBLIC.number:
        imported = public.filter(kind=Submission.Kind.IMPORTED, declared_scores__isnull=False).distinct()
        found |= {number: (team, None) for number, team in imported.values_list("pk", "team_id")}
    counted = counting(public.order_by().values("pk"), protocol=board.protocol)
    rows = counted.values_list("submission_id", "submission__team_id", "pk")
    return found | {number: (team, evaluation) for number, team, evaluation in rows}


def _with_fellows(submissions: Iterable[int]) -> set[int]:
    """The submissions and all runs of the same methods."""
    chosen = Submission.objects.filter(pk__in=submissions).order_by()
    firsts = {first or number for number, first in chosen.values_list("pk", "repeats_id")}
    fellows = Submission.objects.filter(Q(pk__in=firsts) | Q(repeats__in=firsts)).order_by()
    return {*submissions, *fellows.values_list("pk", flat=True)}
