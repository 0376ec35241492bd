"""Boards of several protocols: a new one moves no row of an old one, and an entry may stand on both."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client

from leaderboard.reading import snapshots
from leaderboard.reading.snapshots import Snapshot
from leaderboard.tasks import build_boards
from portal.accounts.models import User
from portal.environment import read_environment
from portal.submissions.models import BaseModel, DeclaredScore, Submission
from tests import second_protocol
from tests.portal import factories

pytestmark = pytest.mark.django_db

BOARD = "/leaderboard/finance/"
NEW = f"{BOARD}?protocol=2"


@pytest.fixture
def entries(owner: User) -> list[Submission]:
    """Three ranked entries, the best first."""
    return [
        factories.published(owner, method=name, correct=correct)
        for name, correct in (("Aarhus", 80), ("Bergen", 70), ("Cork", 60))
    ]


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch) -> None:
    second_protocol.register(monkeypatch)


@pytest.fixture
def both(entries: list[Submission], second: None) -> list[Submission]:
    """The same, the last and the middle one evaluated under protocol 2 too, where the last is better."""
    factories.evaluate_again(entries[2], correct=90, protocol=2)
    factories.evaluate_again(entries[1], correct=50, protocol=2)
    return entries


def places(board: Snapshot) -> list[tuple[str, int | None, str, int]]:
    return [(s.entry.method, s.rank, f"{s.entry.average:.2f}", s.entry.protocol) for s in board.standings]


def page(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, answer
    return answer.content.decode()


def methods(html: str) -> list[str]:
    return list(re.findall(r"Choose (\w+), owner, to compare", html))


class TestBoards:
    def test_with_one_protocol_nothing_says_so(self, client: Client, entries: list[Submission]) -> None:
        for path in (BOARD, "/leaderboard/", f"{BOARD}charts/", f"/entries/{entries[0].pk}/"):
            assert "protocol=" not in page(client, path) and 'aria-label="Protocols"' not in page(
                client, path
            )

    @pytest.mark.usefixtures("entries")
    def test_a_new_protocol_with_a_new_benchmark_moves_no_row(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before, html = snapshots.current("finance"), page(client, BOARD)
        second_protocol.register(monkeypatch)
        after = snapshots.current("finance")
        assert places(after) == places(before) and len(before.standings) == 3
        assert page(client, BOARD) == html
        assert places(snapshots.current("finance", 2)) == []
        empty = page(client, NEW)
        assert "No entry was evaluated under this protocol yet" in empty and 'aria-label="Protocols"' in empty

    @pytest.mark.usefixtures("both")
    def test_each_board_has_its_own_entries_scores_and_ranks(self) -> None:
        old, new = snapshots.current("finance", 1), snapshots.current("finance", 2)
        assert places(old) == [("Aarhus", 1, "0.80", 1), ("Bergen", 2, "0.70", 1), ("Cork", 3, "0.60", 1)]
        assert places(new) == [("Cork", 1, "0.90", 2), ("Bergen", 2, "0.50", 2)]
        assert [score.benchmark for score in old.standings[0].entry.scores] == ["fpb", "fiqa", "tfns"]
        assert new.standings[0].entry.scores[-1].benchmark == second_protocol.ADDED
        assert old.protocols == new.protocols == (1, 2)

    def test_the_switch_keeps_the_view(self, client: Client, both: list[Submission]) -> None:
        html = page(client, f"{BOARD}?q=cork&sort=method")
        assert f'href="{BOARD}?protocol=2&amp;q=cork&amp;sort=method"' in html
        assert methods(html) == ["Cork"]
        html = page(client, f"{BOARD}?protocol=2&q=cork&sort=method")
        assert f'href="{BOARD}?q=cork&amp;sort=method"' in html
        assert methods(html) == ["Cork"] and "Headlines" in html
        assert f'href="/entries/{both[2].pk}/?protocol=2"' in html
        assert f'href="{BOARD[:-1]}.csv?protocol=2&amp;q=cork&amp;sort=method"' in html
        assert f'href="{BOARD}charts/?protocol=2&amp;q=cork&amp;sort=method"' in html
        assert f'href="{BOARD}feed.atom?protocol=2"' in html
        assert f'href="{NEW}">Clear all' in html
        assert '<input type="hidden" name="protocol" value="2">' in html

    @pytest.mark.usefixtures("both")
    def test_the_sites_own_protocol_is_not_written_out(self, client: Client) -> None:
        assert client.get(f"{BOARD}?protocol=1&q=cork").headers["Location"] == f"{BOARD}?q=cork"

    def test_an_unknown_protocol_is_said_to_be_none(self, client: Client, both: list[Submission]) -> None:
        told = client.get(f"{BOARD}?protocol=9&q=cork", follow=True)
        assert told.redirect_chain == [(f"{BOARD}?q=cork", 302)]
        assert "There is no protocol “9”; there are: 1, 2." in told.content.decode()
        for file in (f"{BOARD[:-1]}.csv", "/leaderboard.csv"):
            assert client.get(f"{file}?protocol=9").status_code == 400
        assert client.get(f"{BOARD}charts/intervals.svg?protocol=x").status_code == 400
        answer = client.get("/api/v1/leaderboards/finance/?protocol=9")
        assert answer.status_code == 400 and "protocol" in answer.content.decode()
        for path in (f"{BOARD}feed.atom", "/leaderboard/", f"/entries/{both[0].pk}/"):
            assert client.get(f"{path}?protocol=9").status_code == 404

    @pytest.mark.usefixtures("both")
    def test_the_boards_are_built_before_anybody_asks(
        self, client: Client, django_assert_num_queries: Any
    ) -> None:
        build_boards()
        with django_assert_num_queries(3):
            page(client, NEW)


class TestOperator:
    @pytest.mark.usefixtures("both")
    def test_the_operator_says_which_comes_first(self, client: Client, settings: Any) -> None:
        settings.LEADERBOARD_PROTOCOLS = (2,)
        assert snapshots.current("finance").protocols == (2, 1)
        html = page(client, BOARD)
        assert methods(html) == ["Cork", "Bergen"] and f'href="{BOARD}?protocol=1"' in html
        assert methods(page(client, f"{BOARD}?protocol=1")) == ["Aarhus", "Bergen", "Cork"]
        assert client.get(NEW).headers["Location"] == BOARD
        assert "Cork" in page(client, "/") and "Aarhus" not in page(client, "/")
        assert "Headlines" in page(client, "/rules/")

    @pytest.mark.usefixtures("second")
    def test_a_submission_is_evaluated_under_it(self, owner: User, settings: Any) -> None:
        settings.LEADERBOARD_PROTOCOLS = (2,)
        made = factories.published(owner)
        assert factories.evaluation_of(made).protocol == 2
        assert len(snapshots.current("finance").standings[0].entry.scores) == 4

    def test_an_entry_without_figures_under_it_says_so(
        self, client: Client, both: list[Submission], settings: Any
    ) -> None:
        settings.LEADERBOARD_PROTOCOLS = (2,)
        html = page(client, f"/entries/{both[0].pk}/")
        assert "evaluated under protocol 1, not under protocol 2" in html
        badge = page(client, f"/entries/{both[0].pk}/badge.svg")
        assert "80.00% · protocol 1" in badge

    def test_a_wrong_one_stops_the_start(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LEADERBOARD_PROTOCOLS", "1,7")
        with pytest.raises(ImproperlyConfigured, match=r"LEADERBOARD_PROTOCOLS.*no protocol 7; there are: 1"):
            read_environment()


class TestFilesAndApi:
    def test_exports_follow(self, client: Client, both: list[Submission]) -> None:
        told = json.loads(client.get(f"{BOARD[:-1]}.json?protocol=2").getvalue())
        assert told["protocol"] == 2 and told["source"].endswith("/leaderboard/finance/?protocol=2")
        assert [entry["method"] for entry in told["entries"]] == ["Cork", "Bergen"]
        assert [entry["protocol"] for entry in told["entries"]] == [2, 2]
        assert told["entries"][0]["url"].endswith(f"/entries/{both[2].pk}/?protocol=2")
        assert told["entries"][0][second_protocol.ADDED] == 0.9
        old = json.loads(client.get(f"{BOARD[:-1]}.json").getvalue())
        assert old["protocol"] == 1 and second_protocol.ADDED not in old["entries"][0]

    @pytest.mark.usefixtures("both")
    def test_the_api_follows(self, client: Client) -> None:
        new = client.get("/api/v1/leaderboards/finance/?protocol=2&page_size=1").json()
        assert new["protocol"] == 2 and [row["method"] for row in new["results"]] == ["Cork"]
        assert "protocol=2" in new["next"]
        assert [row["method"] for row in client.get(new["next"]).json()["results"]] == ["Bergen"]
        old = client.get("/api/v1/leaderboards/finance/").json()
        assert old["protocol"] == 1 and len(old["results"]) == 3

    @pytest.mark.usefixtures("second")
    def test_the_challenges_say_what_new_entries_are_evaluated_on(
        self, client: Client, settings: Any
    ) -> None:
        settings.LEADERBOARD_PROTOCOLS = (2,)
        told = client.get("/api/v1/challenges/finance/").json()
        assert told["protocol"] == 2 and told["benchmarks"][-1] == second_protocol.ADDED
        settings.LEADERBOARD_PROTOCOLS = (2, 1)
        assert client.get("/api/v1/challenges/finance/").json()["protocols"] == [2, 1]
        assert "is evaluated here under protocols 2 and 1." in page(client, "/rules/")

    def test_feeds_charts_and_cards_follow(self, client: Client, both: list[Submission]) -> None:
        feed = page(client, f"{BOARD}feed.atom?protocol=2")
        assert "Finance, protocol 2" in feed and "Aarhus" not in feed
        assert f"/entries/{both[2].pk}/?protocol=2" in feed
        assert f'href="http://testserver{BOARD}feed.atom?protocol=2" rel="self"' in feed
        assert f'href="/entries/{both[2].pk}/?protocol=2"' in page(client, f"{BOARD}charts/?protocol=2")
        assert client.get(f"{BOARD}card.png?protocol=2").content != client.get(f"{BOARD}card.png").content

    @pytest.mark.usefixtures("both")
    def test_the_comparison_across_domains_follows(self, client: Client) -> None:
        assert "Aarhus" in page(client, "/leaderboard/")
        html = page(client, "/leaderboard/?protocol=2")
        assert "Aarhus" not in html and "90.00" in html and 'aria-label="Protocols"' in html
        told = json.loads(client.get("/leaderboard.json?protocol=2").getvalue())
        assert told["protocol"] == 2 and len(told["entries"]) == 2


class TestEntries:
    def test_an_entry_keeps_both(self, client: Client, both: list[Submission]) -> None:
        own, other = f"/entries/{both[2].pk}/", f"/entries/{both[2].pk}/?protocol=2"
        for path, average in ((own, "60.00"), (other, "90.00")):
            html = page(client, path)
            shown = re.search(r"Average accuracy</dt>\s*<dd class=\"value\">([0-9.]+)", html)
            assert shown and shown[1] == average
            assert "Under each protocol" in html and "60.00" in html and "90.00" in html
            assert html.count(">counts<") == 2 and "not asked" in html
        assert f'href="{other}"' in page(client, own) and f'href="{own}"' in page(client, other)
        assert f"{BOARD}?protocol=2" in page(client, other)
        assert f"/entries/{both[2].pk}/items/headlines/?protocol=2" in page(client, other)

    def test_what_it_was_not_evaluated_under_is_not_there(
        self, client: Client, both: list[Submission]
    ) -> None:
        for path in ("", "badge.svg", "embed/", "card.png", "items/fpb/"):
            assert client.get(f"/entries/{both[0].pk}/{path}?protocol=2").status_code == 404, path

    def test_badge_and_frame_follow(self, client: Client, both: list[Submission]) -> None:
        badge = page(client, f"/entries/{both[2].pk}/badge.svg?protocol=2")
        assert "90.00% · protocol 2" in badge
        assert "protocol" not in page(client, f"/entries/{both[2].pk}/badge.svg")
        frame = page(client, f"/entries/{both[2].pk}/embed/?protocol=2")
        assert "90.00" in frame and "Headlines" in frame and "protocol 2" in frame

    def test_a_comparison_is_under_one(self, client: Client, both: list[Submission]) -> None:
        numbers = f"entries={both[2].pk},{both[1].pk}"
        assert "60.00" in page(client, f"/compare/?{numbers}")
        html = page(client, f"/compare/?protocol=2&{numbers}")
        assert "90.00" in html and "60.00" not in html and "Headlines" in html
        assert f'href="?{numbers}&amp;protocol=1"' in html
        mixed = page(client, f"/compare/?protocol=2&entries={both[2].pk},{both[0].pk}")
        assert "The protocols differ: 2 and 1." in mixed

    def test_a_team_shows_what_is_under_another_marked(
        self, client: Client, both: list[Submission], settings: Any
    ) -> None:
        settings.LEADERBOARD_PROTOCOLS = (2,)
        html = page(client, f"/teams/{both[0].team_id}/")
        assert html.count(">protocol 1<") == 1 and f"/entries/{both[0].pk}/?protocol=1" in html

    def test_a_base_models_page_is_under_one(
        self, client: Client, owner: User, both: list[Submission], settings: Any
    ) -> None:
        path = f"/base-models/{both[0].base_model_id}/"
        assert "Aarhus" in page(client, path) and "Aarhus" not in page(client, f"{path}?protocol=2")
        other = factories.base_model("Example/Other")
        made = factories.published(owner, base_model=other, files=None, kind="reference", method="Dublin")
        BaseModel.objects.filter(pk=other.pk).update(active=False)
        settings.LEADERBOARD_PROTOCOLS = (2,)
        html = page(client, f"/base-models/{other.pk}/")  # no entry under the site's own protocol
        assert f"/entries/{made.pk}/?protocol=1" in html

    @pytest.mark.usefixtures("both")
    def test_a_benchmarks_page_is_that_of_a_protocol_that_has_it(self, client: Client) -> None:
        assert "protocol 2 only" in page(client, "/benchmarks/")
        assert 'href="/benchmarks/fpb/?protocol=2"' in page(client, "/benchmarks/fpb/")
        assert "Median of 2 entries" in page(client, "/benchmarks/fpb/?protocol=2")
        assert client.get("/benchmarks/headlines/?protocol=1").status_code == 404


def test_declared_entries_stand_on_the_board_that_they_were_taken_from(
    both: list[Submission], owner: User, second: None
) -> None:
    made = Submission.objects.create(
        team=both[0].team,
        submitter=owner,
        challenge="finance",
        kind=Submission.Kind.IMPORTED,
        method="Declared",
        base_model=both[0].base_model,
        status=Submission.Status.PUBLISHED,
        published_at=both[0].published_at,
    )
    DeclaredScore.objects.create(submission=made, benchmark="fpb", value=0.5, decimals=0)
    assert "Declared" in {s.entry.method for s in snapshots.current("finance", 1).standings}
    assert "Declared" not in {s.entry.method for s in snapshots.current("finance", 2).standings}
