"""Invented entries on every board of a site, and their removal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import pgtrigger
from django.apps import apps
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import Model, ProtectedError, QuerySet
from django.utils import timezone

from evaluation.rules.challenges import CHALLENGES, Challenge
from portal.accounts.models import Team, User
from portal.management.seeding import baselines, beside, declared
from portal.management.seeding.entries import NO_TENSORS, TEAM, Board, Calendar, with_further_runs
from portal.management.seeding.methods import MODELS, Method
from portal.queues import wake_board_builders
from portal.review.models import Audit, CaseClaim, ChangeRequest, Confirmation, Decision
from portal.runs.models import BaselineRun, Evaluation, Reproduction, RoundMetric, Score
from portal.submissions.invented import ACCOUNT
from portal.submissions.models import BaseModel, Checkpoint, Submission

SPAN = timedelta(days=300)
ANSWERED = 3
"""Of so many entries a board the single answers are stored."""
BESIDE = 3
"""So many submissions and so many baselines a board are measured beside it too."""
_BASELINES = len(baselines.STRATEGIES) * 2

# What keeps published results as they are. Invented ones may go: these are skipped for their rows alone.
_KEEPERS = (
    "submissions.Submission:submission_only_drafts_deleted",
    "submissions.Finding:finding_append_only",
    "submissions.Resource:resource_append_only",
    "submissions.DeclaredScore:declared_score_append_only",
    "runs.Evaluation:evaluation_final",
    "runs.Score:score_only_while_running",
    "runs.BaselineRun:baselinerun_final",
    "runs.RoundMetric:round_metric_append_only",
    "runs.Reproduction:reproduction_stays",
    "review.Decision:decision_append_only",
    "review.Confirmation:confirmation_append_only",
    "review.ChangeRequest:change_request_stays",
    "review.CaseClaim:case_claim_stays",
    "review.Audit:audit_stays",
)
_HISTORIES = (("submissions", "StatusEvent"), ("runs", "ReproductionEvent"), ("accounts", "TeamNameEvent"))


@dataclass(frozen=True)
class _Filled:
    """A board that is filled: which entries' single answers can be read, and which are asked beside it."""

    board: Board
    answered: list[int]
    tuned: list[tuple[Submission, Method]]


class SeedingRefused(Exception):
    """The invented entries cannot be made or deleted; the text says what stands against it."""


@dataclass(frozen=True)
class Mix:
    """How many of a board's entries are of which kind."""

    untuned: int
    community: int
    baselines: int
    retrained: int
    declared: int

    @classmethod
    def of(cls, count: int) -> Mix:
        told = count // 10
        evaluated = count - told
        untuned, trained = min(len(MODELS), evaluated // 4), min(_BASELINES, evaluated // 8)
        retrained = 1 if trained else 0
        return cls(untuned, evaluated - untuned - trained - retrained, trained, retrained, told)


def real_entries() -> QuerySet[Submission]:
    """What is public and was not invented."""
    return Submission.objects.filter(status__in=Submission.PUBLIC).exclude(submitter__username=ACCOUNT)


@transaction.atomic
def seed(count: int, *, seed: int) -> list[int]:
    """Publish `count` invented entries, on all boards alike, in the place of those that were there.

    Equal numbers and seeds give equal entries but for the dates, which end today. Returns the entries whose
    single answers can be read. Raises SeedingRefused.
    """
    clear()
    filled = []
    boards = len(CHALLENGES)
    for place, challenge in enumerate(CHALLENGES.values()):
        share = count // boards + (place < count % boards)
        if share:
            filled.append(_fill(challenge, share, seed=seed + place))
    if len(filled) == boards:
        beside.measure_elsewhere(
            {one.board.challenge.slug: one.board for one in filled},
            [pair for one in filled for pair in one.tuned],
        )
    wake_board_builders()
    return [number for one in filled for number in one.answered]


@transaction.atomic
def clear() -> int:
    """Delete all invented entries with everything that is theirs, and return how many there were.

    Raises SeedingRefused where somebody else's rows hang on one, or where the account is somebody's.
    """
    account = User.objects.filter(username=ACCOUNT).first()
    if account is None:
        return 0
    if account.is_active or account.has_usable_password():
        raise SeedingRefused(f"Somebody's account is called {ACCOUNT}. Rename it first.")
    entries = Submission.objects.filter(submitter=account)
    count = entries.count()
    scores = Score.objects.filter(evaluation__submission__in=entries)
    files = list(scores.exclude(items="").values_list("items", flat=True))
    try:
        with pgtrigger.ignore(*_KEEPERS, *(f"{app}.{name}:append_only" for app, name in _HISTORIES)):
            _delete(account, entries)
    except ProtectedError as error:
        hanging = ", ".join(sorted({str(row) for row in error.protected_objects})[:5])
        raise SeedingRefused(f"What was not invented hangs on invented entries: {hanging}.") from error
    transaction.on_commit(lambda: _delete_files(files))
    if count:
        wake_board_builders()
    return count


def _fill(challenge: Challenge, count: int, *, seed: int) -> _Filled:
    mix = Mix.of(count)
    answered = range(mix.untuned, mix.untuned + min(ANSWERED, mix.community))
    calendar = Calendar(timezone.now() - SPAN, SPAN / count)
    board = Board(challenge, seed=seed, calendar=calendar, answered=answered)
    drawn = board.draw(range(mix.untuned + mix.community), untuned=mix.untuned)
    drawn[mix.untuned :] = with_further_runs(drawn[mix.untuned :])
    trained = baselines.draw(board, range(len(drawn), len(drawn) + mix.baselines))
    again = [
        baselines.again(board, len(drawn) + len(trained) + number, drawn[mix.untuned + number])
        for number in range(mix.retrained)
    ]
    entries = [*drawn, *trained, *again]
    submissions = dict(zip((e.number for e in entries), board.publish(entries), strict=True))
    for entry in trained:
        baselines.record_run(board, entry, submissions[entry.number])
    for entry in again:
        assert entry.like is not None
        retrained = submissions[entry.number]
        baselines.record_run(board, entry, retrained, submissions[entry.like])
        baselines.confirm(board, retrained)
    declared.publish(board, range(len(entries), count))
    tuned = [(submissions[e.number], e.method) for e in drawn[mix.untuned :][:BESIDE]]
    here = [(submissions[e.number], e.method) for e in trained[:BESIDE]]
    beside.measure_leakage(board, [*((one, False) for one, _ in tuned), *((one, True) for one, _ in here)])
    return _Filled(board, [submissions[number].pk for number in answered], [*tuned, *here])


def _delete(account: User, entries: QuerySet[Submission]) -> None:
    """Delete in the order in which rows hold each other; ProtectedError where others hold one of them."""
    runs = BaselineRun.objects.filter(requested_by=account)
    checkpoints = list(entries.exclude(checkpoint=None).values_list("checkpoint", flat=True))
    _delete_history("runs", "ReproductionEvent", Reproduction.objects.filter(run__in=runs))
    Reproduction.objects.filter(run__in=runs).delete()
    RoundMetric.objects.filter(run__in=runs).delete()
    runs.delete()
    Audit.objects.filter(submission__in=entries).delete()
    ChangeRequest.objects.filter(decision__submission__in=entries).delete()
    Confirmation.objects.filter(decision__submission__in=entries).delete()
    decisions = Decision.objects.filter(submission__in=entries)
    decisions.exclude(undoes=None).delete()
    decisions.delete()
    CaseClaim.objects.filter(submission__in=entries).delete()
    Score.objects.filter(evaluation__submission__in=entries).delete()
    Evaluation.objects.filter(submission__in=entries).delete()
    _delete_history("submissions", "StatusEvent", entries)
    entries.exclude(repeats=None).delete()  # they hold their first runs
    entries.delete()
    Checkpoint.objects.filter(pk__in=checkpoints, submissions=None, evaluations=None).delete()
    unused = {"submissions": None, "evaluations": None, "baseline_runs": None}
    BaseModel.objects.filter(tensors=NO_TENSORS, **unused).delete()
    teams = Team.objects.filter(name__startswith=f"{TEAM} ", memberships=None, submissions=None)
    _delete_history("accounts", "TeamNameEvent", teams)
    teams.delete()
    account.delete()


def _delete_history(app: str, name: str, rows: QuerySet[Model]) -> None:
    apps.get_model(app, name)._default_manager.filter(pgh_obj__in=rows.values("pk")).delete()


def _delete_files(names: Iterable[str]) -> None:
    for name in names:
        default_storage.delete(name)
