"""Methods and base models across the domains, as a pure function."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from leaderboard.board.cross_domain import By, Order, compare, tracks
from leaderboard.reading.snapshot_format import Snapshot
from leaderboard.standing.entries import Entry, Track
from leaderboard.standing.ranking import standings
from tests.leaderboard.test_ranking import BENCHMARKS, declared, entry


def board(challenge: str, *entries: Entry) -> Snapshot:
    placed = tuple(standings(entries, BENCHMARKS))
    return Snapshot(challenge, 1, (1,), datetime(2026, 1, 1, tzinfo=UTC), placed)


def run(method: str, correct: int, model: str = "Example/model") -> Entry:
    return replace(entry(correct, correct, correct), method=method, hub_id=model)


def test_places_and_scores_may_order_differently() -> None:
    boards = [
        board("finance", run("steady", 50), run("wild", 40)),
        board("medical", run("steady", 50), run("wild", 95)),
        board("code", run("steady", 50), run("wild", 49)),
    ]
    by_place = compare(boards, Track.OFFICIAL, By.METHOD, Order.PLACE)
    by_score = compare(boards, Track.OFFICIAL, By.METHOD, Order.AVERAGE)
    assert [(row.first.entry.method, row.rank) for row in by_place] == [("steady", 1), ("wild", 2)]
    assert [(row.first.entry.method, row.rank) for row in by_score] == [("wild", 1), ("steady", 2)]


def test_who_is_missing_somewhere_has_no_rank_and_comes_after() -> None:
    boards = [board("finance", run("both", 40), run("one", 99)), board("medical", run("both", 40))]
    rows = compare(boards, Track.OFFICIAL)
    assert [(row.first.entry.method, row.rank) for row in rows] == [("both", 1), ("one", None)]
    assert rows[1].cells["medical"] is None


def test_incomplete_rows_stand_in_order_among_those_of_the_same_challenges() -> None:
    boards = [board("finance", run("f1", 90), run("f2", 80)), board("medical", run("m1", 70), run("m2", 60))]
    rows = compare(boards, Track.OFFICIAL)
    assert [row.first.entry.method for row in rows] == ["f1", "f2", "m1", "m2"]


def test_a_base_model_stands_with_its_best_entry_in_each_domain() -> None:
    boards = [
        board("finance", run("a", 60), run("b", 70), run("c", 65, "Example/other")),
        board("medical", run("a", 55), run("b", 50), run("c", 40, "Example/other")),
    ]
    rows = compare(boards, Track.OFFICIAL, By.BASE_MODEL)
    best = [[cell.standing.entry.method for cell in row.known] for row in rows]
    assert best == [["b", "a"], ["c", "c"]]
    assert [[cell.place for cell in row.known] for row in rows] == [[1, 1], [2, 2]]


def test_the_same_name_of_another_team_is_another_method() -> None:
    ours, theirs = run("FedAvg", 50), replace(run("FedAvg", 60), team_id=2)
    rows = compare([board("finance", ours), board("medical", theirs)], Track.OFFICIAL)
    assert [len(row.known) for row in rows] == [1, 1]


def test_equal_rows_share_a_rank() -> None:
    rows = compare([board("finance", run("a", 50), run("b", 50), run("c", 10))], Track.OFFICIAL)
    assert [row.rank for row in rows] == [1, 1, 3]


def test_tracks_are_compared_among_themselves() -> None:
    boards = [board("finance", run("ours", 50), declared(run("theirs", 90)))]
    assert tracks(boards) == [Track.OFFICIAL, Track.DECLARED]
    assert [row.first.entry.method for row in compare(boards, Track.DECLARED)] == ["theirs"]
