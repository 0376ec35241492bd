"""A board built from the one before: what changed is read anew, all else is kept.

What an entry is follows from its submission, the evaluation of it that counts, what retraining showed, and
what was measured beside the boards. The first three are looked up for every entry. Where an untuned model
changed, which others are held against, or something was measured beside the boards, all is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping

from django.db.models import Q

from evaluation import rules
from evaluation.rules.protocol import PUBLIC
from evaluation.statistics import Settled
from leaderboard.reading.queries import Reading, counting, public_at, read
from leaderboard.reading.snapshot_format import Snapshot
from leaderboard.standing.entries import Standing, Trust
from leaderboard.standing.ranking import standings
from leaderboard.standing.seeds import Answers
from portal.runs.reproductions import marks_of
from portal.submissions.models import Submission

_MOST = 1000
"""So many changed submissions are read by themselves at most."""
_REPRODUCED, _NOT_REPRODUCED = Trust.REPRODUCED, Trust.NOT_REPRODUCED

Known = Mapping[int, Answers | None]
"""What a process remembers of the last board that it built: the answers of each evaluation that counted, None
where not all were kept."""
_Facts = dict[int, tuple[int, int | None]]
"""Of each submission that is an entry, or a run of one, its team and the evaluation that counts."""


def known_from(reading: Reading) -> dict[int, Answers | None]:
    return {
        entry.evaluation: reading.answers.get(entry.id)
        for entry in reading.entries
        if entry.evaluation is not None
    }


def grown(
    before: Snapshot, known: Known, settled: MutableMapping[str, Settled]
) -> tuple[list[Standing], Known] | None:
    """The standings today, and what is known then; None where all is to be read."""
    stood = _facts_of(before.standings)
    changed = _changed(before, stood, known)
    if len(changed) > _MOST:
        return None
    changed = _with_fellows(changed)
    kept: list[Standing] = []
    gone: list[Standing] = []
    for standing in before.standings:
        runs = [run.id for run in standing.entry.runs] or [standing.entry.id]
        (kept if changed.isdisjoint(runs) else gone).append(standing)
    changed |= _facts_of(gone).keys()
    public = public_at(before.challenge)
    found = read(public.filter(pk__in=changed), protocol=before.protocol, with_answers=True)
    if not all(entry.adapted for entry in (*found.entries, *(standing.entry for standing in gone))):
        return None
    counted = {
        number: evaluation
        for number, (_, evaluation) in stood.items()
        if evaluation is not None and number not in changed
    }
    answers = {number: own for number, evaluation in counted.items() if (own := known[evaluation])}
    placed = standings(
        found.entries,
        rules.of(before.challenge, before.protocol).benchmarks,
        {**answers, **found.answers},
        settled,
        kept=kept,
    )
    return placed, {evaluation: known[evaluation] for evaluation in counted.values()} | known_from(found)


def _changed(before: Snapshot, stood: _Facts, known: Known) -> set[int]:
    """The submissions that are not as they stood, or of which the answers are not known. Those that were
    retrained are few: they are among them each time."""
    stand = _facts(before)
    changed = {number for number, _ in stand.items() ^ stood.items()}
    changed |= marks_of(public_at(before.challenge).order_by().values("pk")).keys()
    changed |= {number for number, (_, own) in stood.items() if own is not None and own not in known}
    retrained = [
        one
        for one in before.standings
        if one.entry.trust is _REPRODUCED or one.entry.trust is _NOT_REPRODUCED
    ]
    return changed | _facts_of(retrained).keys()


def _facts_of(standings: Iterable[Standing]) -> _Facts:
    found: _Facts = {}
    for standing in standings:
        entry = standing.entry
        for run in entry.runs:
            found[run.id] = entry.team_id, run.evaluation
        if not entry.runs:
            found[entry.id] = entry.team_id, entry.evaluation
    return found


def _facts(board: Snapshot) -> _Facts:
    """What stands in the database today."""
    public = public_at(board.challenge)
    found: _Facts = {}
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
