"""Entries that hold several runs of one method: sent, checked, joined on the board, told apart."""

from __future__ import annotations

import json

import pytest
from django.test import Client

from evaluation.statistics.seeds import apart_by_seed
from leaderboard.reading import snapshots
from portal.accounts.models import User
from portal.intake import services
from portal.intake.drafts import InvalidSubmission
from portal.runs import reproductions
from portal.submissions.models import Submission
from tests.portal import factories

pytestmark = pytest.mark.django_db


def run_of(owner: User, correct: int, first: Submission | None = None) -> Submission:
    bits = {"correct_bits": _first(correct), "scored_bits": _first(100)}
    made = factories.submission(owner, repeats=first)
    return factories.publish(factories.evaluate(made, correct=correct, scores=bits))


def _first(count: int) -> bytes:
    """Bits of 100 items of which the first ones are set."""
    return (((1 << count) - 1) << (104 - count)).to_bytes(13, "big")


@pytest.fixture
def three(owner: User) -> list[Submission]:
    first = run_of(owner, 70)
    return [first, run_of(owner, 72, first), run_of(owner, 77, first)]


def test_the_board_has_one_row_with_the_mean_and_a_wider_interval(three: list[Submission]) -> None:
    first, *_ = three
    board = snapshots.checked("finance")
    (standing,) = [s for s in board.standings if s.entry.adapted]
    entry = standing.entry
    assert entry.id == first.pk
    assert [(run.id, run.average) for run in entry.runs] == [
        (made.pk, pytest.approx(average)) for made, average in zip(three, (0.70, 0.72, 0.77), strict=True)
    ]
    assert entry.average == pytest.approx(0.73)
    assert entry.spread == pytest.approx(0.036, abs=1e-3)
    assert entry.interval
    low, high = entry.interval
    assert high - low > 0.15  # the items of one run alone give 0.10


def test_each_run_has_a_page_that_names_the_others(three: list[Submission], client: Client) -> None:
    first, second, third = three
    page = client.get(f"/entries/{second.pk}/").content.decode()
    assert "means of 3 runs" in page
    assert f"Entry {second.pk}, this one" in page
    assert f'href="/entries/{third.pk}/"' in page
    row = client.get("/api/v1/leaderboards/finance/").json()["results"][0]
    assert (row["entry"], row["runs"]) == (first.pk, 3)


def test_a_comparison_tests_over_seeds(three: list[Submission], owner: User, client: Client) -> None:
    other = run_of(owner, 67)
    page = client.get(f"/compare/?entries={three[0].pk},{other.pk}").content.decode()
    assert "no difference shown" in page
    assert "over seeds and items together" in page


def test_a_run_that_leaves_the_board_leaves_the_mean(three: list[Submission]) -> None:
    services.withdraw(three[0])
    (standing,) = [s for s in snapshots.checked("finance").standings if s.entry.adapted]
    assert standing.entry.id == three[1].pk
    assert [run.id for run in standing.entry.runs] == [three[1].pk, three[2].pk]


def test_another_setting_is_another_method(owner: User) -> None:
    first = factories.submission(owner)
    other = factories.pyproject(rounds="num-server-rounds = 9")
    with pytest.raises(InvalidSubmission) as refused:
        factories.submission(owner, repeats=first, files=factories.files(other))
    (finding,) = [f for f in refused.value.findings if f.code == "submission.other_method"]
    assert "Rounds: 8 in the first, 9 here." in finding.message


def test_a_further_run_of_another_team_or_of_a_further_run_is_refused(owner: User, stranger: User) -> None:
    first = factories.submission(owner)
    with pytest.raises(InvalidSubmission, match="same team"):
        factories.submission(stranger, repeats=first)
    further = factories.submission(owner, repeats=first)
    with pytest.raises(InvalidSubmission, match="further run itself"):
        factories.submission(owner, repeats=further)


def test_the_api_takes_the_first_run_by_its_number(
    owner: User, as_owner: Client, as_stranger: Client
) -> None:
    first = factories.submission(owner)
    body = {"challenge": "finance", "base_model": first.base_model.hub_id, "method": "again", "draft": True}
    sent = as_owner.post(
        "/api/v1/submissions/", json.dumps(body | {"repeats": first.pk}), content_type="application/json"
    )
    assert (sent.status_code, sent.json()["repeats"]) == (201, first.pk)
    refused = as_stranger.post(
        "/api/v1/submissions/", json.dumps(body | {"repeats": first.pk}), content_type="application/json"
    )
    assert refused.status_code in (400, 422)
    assert "no first run" in refused.content.decode()


def test_the_measured_spread_is_the_tolerance_of_a_reproduction(three: list[Submission]) -> None:
    evaluation = factories.evaluation_of(three[1])
    assert reproductions.tolerance_of(evaluation) == pytest.approx(apart_by_seed([0.70, 0.72, 0.77]))


def test_two_runs_say_too_little_for_a_tolerance(owner: User) -> None:
    first = run_of(owner, 70)
    run_of(owner, 75, first)
    assert reproductions.tolerance_of(factories.evaluation_of(first)) == reproductions.TOLERANCE
