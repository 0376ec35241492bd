"""A board on a date: what was published then, with the evaluation that counted then."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time

import pytest
from django.test import Client
from django.utils import timezone

from leaderboard.reading import snapshots
from leaderboard.reading.snapshots import Snapshot
from portal.accounts.models import User
from portal.intake.services import withdraw
from portal.management.seeding.entries import fill
from portal.review.models import Decision
from portal.submissions.models import Submission
from tests import second_protocol
from tests.portal import factories

pytestmark = pytest.mark.django_db


def methods(board: Snapshot) -> list[str]:
    return [standing.entry.method for standing in board.standings]


def averages(board: Snapshot) -> list[float | None]:
    return [standing.entry.average for standing in board.standings]


def test_the_board_before_the_first_publication_is_empty(owner: User) -> None:
    before = timezone.now()
    factories.published(owner)
    assert methods(snapshots.as_of("finance", before)) == []
    assert methods(snapshots.as_of("finance", timezone.now())) == ["FedAvg"]


def test_every_step_of_an_entry_shows_on_the_boards_between(owner: User, reviewer: User) -> None:
    moments = [timezone.now()]

    def mark() -> None:
        moments.append(timezone.now())

    stays = factories.published(owner, method="stays", correct=60)
    mark()
    leaves = factories.published(owner, method="leaves", correct=80)
    mark()
    cheats = factories.published(owner, method="cheats", correct=90)
    mark()
    withdraw(leaves)
    mark()
    factories.review(cheats, reviewer, Decision.Action.DISQUALIFY, reason="copied")
    mark()
    shown = [methods(snapshots.as_of("finance", moment)) for moment in moments]
    assert shown == [
        [],
        ["stays"],
        ["leaves", "stays"],
        ["cheats", "leaves", "stays"],
        ["cheats", "stays"],
        ["stays"],
    ]
    assert methods(snapshots.current("finance")) == shown[-1] and stays.pk


def test_ranks_are_those_of_the_entries_of_then(owner: User) -> None:
    factories.published(owner, method="early", correct=60)
    then = timezone.now()
    factories.published(owner, method="late", correct=80)
    board = snapshots.as_of("finance", then)
    assert [(s.entry.method, s.rank) for s in board.standings] == [("early", 1)]
    assert {s.entry.method: s.rank for s in snapshots.current("finance").standings} == {"late": 1, "early": 2}


def test_the_evaluation_of_then_counts(owner: User) -> None:
    made = factories.published(owner, correct=60)
    then = timezone.now()
    factories.evaluate_again(made, correct=75)
    assert averages(snapshots.as_of("finance", then)) == [pytest.approx(0.60)]
    assert averages(snapshots.as_of("finance", timezone.now())) == [pytest.approx(0.75)]
    assert averages(snapshots.current("finance")) == [pytest.approx(0.75)]


def test_a_later_protocol_does_not_reach_back(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    second_protocol.register(monkeypatch)
    old, new = (factories.published(owner, method=name, correct=60) for name in ("old", "new"))
    then = timezone.now()
    factories.evaluate_again(new, correct=75, protocol=2)
    past, present = snapshots.as_of("finance", then), snapshots.current("finance")
    assert sorted(methods(past)) == sorted(methods(present)) == ["new", "old"] and old.pk
    assert methods(snapshots.as_of("finance", then, 2)) == []
    assert methods(snapshots.as_of("finance", timezone.now(), 2)) == ["new"]
    assert (past.protocols, present.protocols) == ((1,), (1, 2))


def test_what_was_in_review_then_is_not_shown(owner: User) -> None:
    waiting = factories.evaluated(owner, method="waiting")
    then = timezone.now()
    factories.publish(waiting)
    assert methods(snapshots.as_of("finance", then)) == []


def test_now_and_the_current_board_agree(owner: User) -> None:
    for correct in (50, 60, 70):
        factories.published(owner, method=f"right {correct}", correct=correct)
    past, present = snapshots.as_of("finance", timezone.now()), snapshots.current("finance")
    assert past.standings == present.standings


def test_a_day_ends_at_midnight_utc() -> None:
    from django.http import QueryDict

    from leaderboard.board.filters import Filters

    filters = Filters.of(QueryDict("as_of=2026-03-01"))
    assert filters.as_of == date(2026, 3, 1)
    assert filters.moment == datetime.combine(date(2026, 3, 1), time.max, UTC)


def test_the_page_of_a_past_day_says_so_and_leads_to_today(client: Client, owner: User) -> None:
    fill("finance", 3)  # published on the first of January 2026
    factories.published(owner, method="Young")
    html = client.get("/leaderboard/finance/?as_of=2026-04-01").content.decode()
    assert "as it stood at the end of 2026-04-01" in html and "Today" in html and "Young" not in html
    assert 'href="/leaderboard/finance.csv?as_of=2026-04-01"' in html
    assert "Young" in client.get("/leaderboard/finance/").content.decode()
    empty = client.get("/leaderboard/finance/?as_of=2025-04-01").content.decode()
    assert "as it stood at the end of 2025-04-01" in empty and "Nothing was published by that day" in empty


@pytest.mark.parametrize(
    ("day", "reason"),
    [("yesterday", "no day like"), ("2026-02-30", "no day like"), ("2999-01-01", "still to come")],
)
def test_a_day_without_a_board_is_said_to_be_none(client: Client, day: str, reason: str) -> None:
    page = client.get(f"/leaderboard/finance/?as_of={day}&q=x", follow=True)
    assert page.redirect_chain == [("/leaderboard/finance/?q=x", 302)]
    html = page.content.decode()
    assert reason in html and "as it stands now" in html
    assert reason not in client.get("/leaderboard/finance/?q=x").content.decode()
    refused = client.get(f"/leaderboard/finance.json?as_of={day}")
    assert refused.status_code == 400 and reason in refused.content.decode()


def test_a_refused_day_is_said_in_place_too(client: Client) -> None:
    answer = client.get("/leaderboard/finance/?as_of=2999-01-01", headers={"HX-Request": "true"})
    assert answer["HX-Redirect"] == "/leaderboard/finance/"


def test_the_files_of_a_past_day_hold_the_board_of_that_day(client: Client, owner: User) -> None:
    factories.published(owner)
    told = client.get("/leaderboard/finance.json?as_of=2026-03-01").getvalue()
    assert json.loads(told)["as_of"] == "2026-03-01" and json.loads(told)["entries"] == []


def test_days_without_a_change_share_a_board(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    made = factories.published(owner)
    first = snapshots.as_of("finance", timezone.now())
    monkeypatch.setattr(snapshots, "_build", None)  # from here on nothing may be built
    second = snapshots.as_of("finance", timezone.now())
    assert second is first  # and so is what was found out about it
    monkeypatch.undo()
    withdraw(made)
    assert methods(snapshots.as_of("finance", timezone.now())) == []


def test_what_left_since_is_marked_and_a_withdrawn_entry_loses_its_team(
    client: Client, reviewer: User
) -> None:
    fill("finance", 3)  # published on the first of January 2026
    before = {s.entry.id: s.entry for s in past("2026-04-01").standings}
    gone, cheat, stays = Submission.objects.order_by("pk")
    withdraw(gone)
    factories.review(cheat, reviewer, Decision.Action.DISQUALIFY, reason="copied")
    board = past("2026-04-01")
    assert {s.entry.id: s.entry.left for s in board.standings} == {
        gone.pk: "withdrawn",
        cheat.pk: "disqualified",
        stays.pk: "",
    }
    assert board.by_id[gone.pk].entry.average == before[gone.pk].average
    html = client.get("/leaderboard/finance/?as_of=2026-04-01").content.decode()
    charts = client.get("/leaderboard/finance/charts/?as_of=2026-04-01").content.decode()
    file = json.loads(client.get("/leaderboard/finance.json?as_of=2026-04-01").getvalue())
    api = client.get("/api/v1/leaderboards/finance/?as_of=2026-04-01").json()
    assert "withdrawn since" in html and "disqualified since" in html
    for told in (html, charts):
        assert f"/entries/{gone.pk}/" not in told and f"/entries/{stays.pk}/" in told
    for rows in (file["entries"], api["results"]):
        row = {row["entry"]: row for row in rows}[gone.pk]
        assert row["left"] == "withdrawn" and not row["team"] and row["url"] is None


def past(day: str) -> Snapshot:
    return snapshots.as_of("finance", datetime.combine(date.fromisoformat(day), time.max, UTC))
