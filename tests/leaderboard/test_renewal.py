"""What makes a board be built anew, and what does not."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from evaluation.statistics import settled
from leaderboard.reading import queries, snapshots
from leaderboard.reading.snapshot_format import SETTLED
from leaderboard.reading.snapshots import Snapshot
from leaderboard.standing.entries import Trust
from portal.accounts.models import User
from portal.queues import BUILD_BOARDS
from portal.runs import reproductions
from portal.runs.models import Reproduction
from portal.submissions.models import Submission
from tests.portal import factories
from tests.portal.baselines import original_with, retrained_with

pytestmark = pytest.mark.django_db
Verdict = Reproduction.Verdict


@pytest.fixture
def original(owner: User, reviewer: User) -> Submission:
    return original_with(owner, 70)


@pytest.fixture
def comparison(original: Submission, reviewer: User) -> Reproduction:
    """Of an original and its retrained entry, both published, waiting for the verdict."""
    found = Reproduction.objects.get(run=retrained_with(reviewer, original, 50))
    factories.publish(found.retrained)
    return found


def trust(board: Snapshot, entry: Submission) -> Trust:
    return board.by_id[entry.pk].entry.trust


def test_a_board_stays_while_nothing_happens(original: Submission) -> None:
    assert snapshots.checked("finance") is snapshots.checked("finance")


def test_a_verdict_on_a_reproduction_renews_the_board_and_so_does_taking_it_back(
    original: Submission, comparison: Reproduction, reviewer: User
) -> None:
    before = snapshots.checked("finance")
    assert trust(before, original) is Trust.EVALUATED
    reproductions.judge(comparison, judge=reviewer, verdict=Verdict.CONFIRMED)
    confirmed = snapshots.checked("finance")
    assert trust(confirmed, original) is Trust.NOT_REPRODUCED
    reproductions.judge(comparison, judge=reviewer, verdict=Verdict.SET_ASIDE, reason="Other rows.")
    assert trust(snapshots.checked("finance"), original) is Trust.EVALUATED
    assert len({before.version, confirmed.version}) == 2


def test_another_process_sees_the_verdict_too(
    original: Submission, comparison: Reproduction, reviewer: User
) -> None:
    snapshots.checked("finance")
    reproductions.judge(comparison, judge=reviewer, verdict=Verdict.CONFIRMED)
    snapshots._known.clear()  # a process that has nothing but the cache
    assert trust(snapshots.checked("finance"), original) is Trust.NOT_REPRODUCED


def test_a_verdict_renews_the_boards_of_the_days_after_it_alone(
    original: Submission, comparison: Reproduction, reviewer: User
) -> None:
    before = timezone.now()
    assert trust(snapshots.as_of("finance", before), original) is Trust.EVALUATED
    reproductions.judge(comparison, judge=reviewer, verdict=Verdict.CONFIRMED)
    after = timezone.now()
    assert trust(snapshots.as_of("finance", after), original) is Trust.NOT_REPRODUCED
    assert trust(snapshots.as_of("finance", before), original) is Trust.EVALUATED
    reproductions.judge(comparison, judge=reviewer, verdict=Verdict.SET_ASIDE, reason="Other rows.")
    assert trust(snapshots.as_of("finance", after), original) is Trust.EVALUATED


def test_a_verdict_wakes_who_builds_the_boards(
    comparison: Reproduction,
    reviewer: User,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> None:
    sent: list[str] = []
    monkeypatch.setattr("portal.queues._send", lambda task, _: sent.append(task))
    with django_capture_on_commit_callbacks(execute=True):
        reproductions.judge(comparison, judge=reviewer, verdict=Verdict.CONFIRMED)
    assert BUILD_BOARDS in sent


def test_what_a_build_settled_serves_the_next_one_and_changes_nothing(
    original: Submission, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "_SMALL", 0)
    original_with(owner, 60)
    snapshots.checked("finance")
    assert SETTLED.get(str(snapshots._Board.of("finance", None)))
    monkeypatch.setattr(settled, "compare", None)
    original_with(owner, 10)
    board = snapshots.checked("finance")
    monkeypatch.undo()
    assert len(board.standings) == 3
    assert board.standings == snapshots.afresh("finance").standings


def test_an_evaluation_that_another_replaces_while_it_is_read_breaks_no_board(
    original: Submission, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "_scores", lambda *_, **__: ({}, {}))
    assert snapshots.checked("finance").standings == ()
    monkeypatch.undo()
    assert [standing.entry.id for standing in snapshots.renew("finance").standings] == [original.pk]
