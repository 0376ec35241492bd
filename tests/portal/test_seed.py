"""Invented entries: on every board, marked, the same for the same seed, and gone without a trace."""

from __future__ import annotations

import io
from collections import Counter
from typing import Any

import pytest
from django.apps import apps
from django.core.cache import cache
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.test import Client

from evaluation.rules.challenges import CHALLENGES
from evaluation.rules.protocol import CURRENT
from leaderboard.reading import snapshots
from leaderboard.standing.entries import Track, Trust
from portal.accounts.models import User
from portal.management.seeding import site
from portal.management.seeding.entries import ACCOUNT, fill
from portal.review.models import Decision
from portal.runs.models import BaselineRun, Score
from portal.submissions.models import BaseModel, Submission
from tests.portal import factories

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def empty_cache() -> None:
    """No answers of an earlier score of the same number."""
    cache.clear()


def seed(*options: str) -> str:
    output = io.StringIO()
    call_command("seed", *options, stdout=output)
    return output.getvalue()


def rows() -> dict[str, int]:
    """How many rows each table of the site has."""
    return {
        model._meta.label: model._default_manager.count()
        for model in apps.get_models()
        if model.__module__.startswith("portal.")
    }


def results() -> list[tuple[Any, ...]]:
    return list(
        Score.objects.order_by("pk").values_list(
            "evaluation__submission__method", "benchmark", "correct", "items", "correct_bits"
        )
    )


def test_every_board_has_entries_of_every_kind() -> None:
    seed("--entries", "120")
    for challenge in CHALLENGES:
        board = snapshots.current(challenge)
        assert sum(max(1, len(standing.entry.runs)) for standing in board.standings) == 30
        assert any(len(standing.entry.runs) == 3 for standing in board.standings)
        trusts = Counter(standing.entry.trust for standing in board.standings)
        assert trusts[Trust.EVALUATED] > trusts[Trust.REFERENCE] > trusts[Trust.DECLARED] > 0
        assert trusts[Trust.REPRODUCED] + trusts[Trust.NOT_REPRODUCED] == 1
        assert any(standing.entry.flags for standing in board.standings)
        assert any(standing.entry.gain for standing in board.standings)
    assert BaselineRun.objects.filter(original=None, round_metrics__round=1).exists()


def test_nothing_that_was_invented_passes_for_official() -> None:
    seed("--entries", "60")
    assert not Score.objects.filter(official=True).exists()
    for challenge in CHALLENGES:
        tracks = {s.track for s in snapshots.current(challenge).standings}
        assert tracks == {Track.DEMONSTRATION, Track.DECLARED}
    entries = Submission.objects.select_related("team")
    assert all(e.team.name.startswith("Invented group ") and "Invented" in e.description for e in entries)
    assert not BaseModel.objects.filter(active=True).exists()
    assert not User.objects.get(username=ACCOUNT).has_usable_password()


def test_the_pages_that_one_works_on_are_there(client: Client) -> None:
    said = seed("--entries", "40")
    compared = next(line.split()[-1] for line in said.splitlines() if line.startswith("Side by side"))
    answered = int(compared.rpartition("=")[2].split(",")[0])
    entry = Submission.objects.get(pk=answered)
    benchmark = CURRENT.benchmarks[entry.challenge][0]
    run = BaselineRun.objects.filter(original=None).latest("pk")
    assert run.submission
    pages = {
        "/": "Invented group",
        f"/leaderboard/{entry.challenge}/": "Invented group",
        "/leaderboard/": entry.base_model.name,
        f"/entries/{answered}/": "Invented by manage.py seed",
        f"/entries/{answered}/items/{benchmark}/": "wrong",
        compared: "Where they disagree",
        f"/entries/{run.submission.pk}/": "charts/rounds",
        "/baselines/": "FedAvg",
        run.get_absolute_url(): "Loss",
        "/changes/": entry.method,
    }
    for address, words in pages.items():
        answer = client.get(address)
        assert answer.status_code == 200, address
        assert words in answer.content.decode(), address


def test_some_are_measured_beside_the_board_too(client: Client) -> None:
    seed("--entries", "120")
    for challenge in CHALLENGES:
        entries = [standing.entry for standing in snapshots.current(challenge).standings]
        whole = [entry for entry in entries if entry.worst_elsewhere]
        assert whole and all(len(entry.transfer) == len(CHALLENGES) for entry in whole)
        bases = {entry.leakage.basis for entry in entries if entry.leakage}
        # Of adapters from elsewhere only finance has rows that were not trained on.
        assert bases == ({"declared", "measured"} if challenge == "finance" else {"measured"})
        page = client.get(f"/entries/{whole[-1].id}/").content.decode()
        assert "On each domain, against the base model" in page
    assert client.get("/leaderboard/medical/charts/transfer.svg?show=demonstration").status_code == 200


def test_the_stored_answers_are_those_that_were_counted() -> None:
    seed("--entries", "40")
    stored = Score.objects.exclude(items="")
    assert {score.evaluation.submission.challenge for score in stored} == set(CHALLENGES)
    for score in stored:
        with score.items.open("rb") as file:
            lines = file.readlines()
        assert (len(lines), sum(b'"correct": true' in line for line in lines)) == (score.n, score.correct)


def test_the_same_seed_gives_the_same_entries_and_another_one_others() -> None:
    seed("--entries", "30", "--seed", "7")
    first = [row[:3] + row[4:] for row in results()]
    seed("--entries", "30", "--seed", "7")
    assert [row[:3] + row[4:] for row in results()] == first
    seed("--entries", "30", "--seed", "8")
    assert [row[:3] + row[4:] for row in results()] != first


def test_clearing_leaves_what_was_there_and_nothing_else(
    owner: User, django_capture_on_commit_callbacks: Any
) -> None:
    own = factories.published(owner)
    before = rows()
    folders = set(default_storage.listdir("evaluations")[0])
    seed("--entries", "60", "--beside-real-entries")
    invented = Submission.objects.filter(submitter__username=ACCOUNT)
    items = [score.items.name or "" for score in Score.objects.filter(evaluation__submission__in=invented)]
    factories.review(
        invented.filter(kind=Submission.Kind.COMMUNITY)[0],
        User.objects.get(is_staff=True),
        Decision.Action.DISQUALIFY,
        reason="looked odd",
    )
    with django_capture_on_commit_callbacks(execute=True):
        assert "60 invented entries are gone" in seed("--clear")
    assert rows() == before
    assert any(items) and not any(name and default_storage.exists(name) for name in items)
    assert folders == {str(factories.evaluation_of(own).pk)}
    own.refresh_from_db()
    assert [s.entry.id for s in snapshots.current("finance").standings] == [own.pk]


def test_a_site_with_entries_of_its_own_is_left_alone_unless_asked(owner: User, settings: Any) -> None:
    factories.published(owner)
    with pytest.raises(CommandError, match="1 published entries that were not invented"):
        seed("--entries", "8")
    assert Submission.objects.count() == 1
    seed("--entries", "8", "--beside-real-entries")
    assert Submission.objects.count() == 9
    settings.DEBUG = True
    seed("--entries", "4")
    assert Submission.objects.count() == 5


def test_entries_that_somebody_retrained_are_not_taken_from_under_the_run(reviewer: User) -> None:
    seed("--entries", "40")
    made = BaselineRun.objects.filter(original__isnull=False)[0]
    made.pk, made.submission, made.requested_by = None, None, reviewer
    made.status, made.finished_at = BaselineRun.Status.CANCELLED, made.queued_at
    made.save()
    with pytest.raises(CommandError, match="not invented hangs on invented entries"):
        seed("--clear")
    assert site.real_entries().count() == 0 and Submission.objects.count() == 40


def test_somebodys_account_of_that_name_is_not_touched() -> None:
    factories.user(ACCOUNT)
    with pytest.raises(CommandError, match="Rename it first"):
        seed("--entries", "4")


@pytest.mark.parametrize("count", ["0", "-3", "many"])
def test_a_number_of_entries_is_at_least_one(count: str) -> None:
    with pytest.raises(CommandError, match="at least one"):
        seed(f"--entries={count}")


def test_boards_for_benchmarks_are_ranked_as_official_ones() -> None:
    fill("finance", 20)
    assert {s.track for s in snapshots.current("finance").standings} == {Track.OFFICIAL}
