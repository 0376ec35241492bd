"""Entries that hold several runs of one method: sent, checked, joined on the board, told apart."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from django.test import Client

from evaluation.statistics.seeds import apart_by_seed
from leaderboard.reading import snapshots
from leaderboard.reading.queries import read
from leaderboard.standing.entries import Trust
from leaderboard.standing.ranking import standings
from portal.accounts.models import User
from portal.dumps.tables import TABLES
from portal.intake import services
from portal.intake.drafts import Files, InvalidSubmission
from portal.review.models import Decision
from portal.runs import reproductions
from portal.submissions.models import Submission
from tests.evaluation import adapters
from tests.portal import factories

pytestmark = pytest.mark.django_db


def evaluated(owner: User, correct: int, first: Submission | None = None) -> Submission:
    bits = {"correct_bits": _first(correct), "scored_bits": _first(100)}
    made = factories.submission(owner, repeats=first, files=trained(correct))
    return factories.evaluate(made, correct=correct, scores=bits)


def run_of(owner: User, correct: int, first: Submission | None = None) -> Submission:
    return factories.publish(evaluated(owner, correct, first))


def trained(seed: int, pyproject: bytes = factories.PYPROJECT) -> Files:
    """The three files with an adapter that another seed gave."""
    tensors = adapters.lora_tensors()
    name, (_, shape, _) = next(iter(tensors.items()))
    adapter = adapters.safetensors(tensors | {name: adapters.f32(shape, seed)})
    return factories.files(pyproject, adapter)


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
        factories.submission(owner, repeats=first, files=trained(1, other))
    (finding,) = [f for f in refused.value.findings if f.code == "submission.other_method"]
    assert "Rounds: 8 in the first, 9 here." in finding.message


def test_a_further_run_of_another_team_or_of_a_further_run_is_refused(owner: User, stranger: User) -> None:
    first = factories.submission(owner)
    with pytest.raises(InvalidSubmission, match="same team"):
        factories.submission(stranger, repeats=first)
    further = factories.submission(owner, repeats=first, files=trained(1))
    with pytest.raises(InvalidSubmission, match="further run itself"):
        factories.submission(owner, repeats=further)


def test_the_same_tensors_are_no_other_run(owner: User) -> None:
    first = factories.submission(owner)
    with pytest.raises(InvalidSubmission, match=f"very tensors of submission {first.pk}"):
        factories.submission(owner, repeats=first)
    services.withdraw(first)
    first.refresh_from_db()
    with pytest.raises(InvalidSubmission, match="is withdrawn"):
        factories.submission(owner, repeats=first, files=trained(1))


def test_a_first_run_cannot_become_another_method_under_those_that_name_it(
    owner: User, reviewer: User
) -> None:
    first = evaluated(owner, 70)
    further = evaluated(owner, 72, first)
    factories.review(first, reviewer, Decision.Action.CHANGES, reason="The rounds are not those of the log.")
    first.refresh_from_db()
    other = trained(70, factories.pyproject(rounds="num-server-rounds = 9"))
    services.amend(first, factories.draft(owner, files=other))
    with pytest.raises(InvalidSubmission, match=f"{further.pk} was sent as another run of this one"):
        services.send(first)
    elsewhere = factories.submission(owner, files=trained(3))
    services.amend(first, factories.draft(owner, files=trained(70), repeats=elsewhere))
    with pytest.raises(InvalidSubmission, match="further runs of this one"):
        services.send(first)
    services.withdraw(further)
    services.amend(first, factories.draft(owner, files=other))
    assert services.send(first).status in ("in_review", "queued")


def test_a_draft_keeps_its_first_run_in_the_form_when_that_one_is_withdrawn(
    owner: User, as_owner: Client
) -> None:
    first = factories.submission(owner)
    draft = services.create(factories.draft(owner, repeats=first, files=trained(1)))
    services.withdraw(first)
    page = as_owner.get(f"/submissions/{draft.pk}/edit/").content.decode()
    assert f'<option value="{first.pk}" selected>' in page
    with pytest.raises(InvalidSubmission, match="is withdrawn"):
        services.send(draft)


def test_a_further_run_has_the_place_of_the_mean_before_it_is_published(
    three: list[Submission], owner: User, stranger: User, as_owner: Client
) -> None:
    for correct in (90, 74, 60):
        run_of(stranger, correct)
    fourth = evaluated(owner, 85, three[0])
    page = as_owner.get(f"/entries/{fourth.pk}/")
    assert page.context["standing"].rank == 2  # by 76, the mean
    assert page.context["entry"].average == pytest.approx(0.85)
    assert "mean of 4 runs, this one among them" in page.content.decode()
    assert [s.entry.average for s in page.context["would_be"].below] == pytest.approx([0.74, 0.60])


def test_runs_that_were_left_out_are_told(
    as_reviewer: Client, three: list[Submission], owner: User, client: Client
) -> None:
    evaluated(owner, 66, three[0])
    unknown = factories.submission(owner, repeats=three[0], files=trained(1))
    services.withdraw(unknown)
    services.withdraw(three[1])
    page = client.get(f"/entries/{three[0].pk}/").content.decode()
    assert (
        "Of 4 runs of this method that were evaluated, 1 was withdrawn by the team, 1 is not published"
        in page
    )
    assert f"/entries/{three[1].pk}/" not in page
    case = as_reviewer.get(f"/review/{three[2].pk}/")
    assert [(run.id, run.status) for run in case.context["case"].runs][-1] == (unknown.pk, "withdrawn")
    assert "Runs of this method" in case.content.decode()


def test_readers_are_not_told_of_a_first_run_that_is_not_public(
    three: list[Submission], client: Client, as_owner: Client
) -> None:
    address = f"/api/v1/submissions/{three[1].pk}/"
    assert client.get(address).json()["repeats"] == three[0].pk
    services.withdraw(three[0])
    assert client.get(address).json()["repeats"] is None
    assert as_owner.get(address).json()["repeats"] == three[0].pk


def test_a_dump_keeps_the_runs_of_a_method_together_without_those_that_are_not_public(
    three: list[Submission],
) -> None:
    first, second, third = (made.pk for made in three)
    (table,) = (table for table in TABLES if table.name == "entries")

    def told() -> dict[int, int | None]:
        columns = [column.read for column in table.columns if column.name in ("id", "repeats_id")]
        return dict(table.rows().order_by("pk").values_list(*columns))

    assert told() == {first: None, second: first, third: first}
    services.withdraw(three[0])
    assert told() == {second: None, third: second}


def test_two_runs_of_an_entry_are_one_in_a_comparison(three: list[Submission], client: Client) -> None:
    first, second, _ = (made.pk for made in three)
    page = client.get(f"/compare/?entries={second},{first}")
    assert [column.member.entry.id for column in page.context["columns"]] == [first]
    assert page.context["problems"] == [
        f"Entry {second} is a run of entry {first}, which stands here as the mean of its runs."
    ]


def test_a_run_that_was_not_reproduced_marks_the_mean(three: list[Submission]) -> None:
    entries = read(Submission.objects.filter(pk__in=[made.pk for made in three]), with_answers=True)
    marked = [
        replace(entry, trust=trust)
        for entry, trust in zip(
            entries.entries, (Trust.REPRODUCED, Trust.NOT_REPRODUCED, Trust.EVALUATED), strict=True
        )
    ]
    (standing,) = standings(marked, factories.BENCHMARKS, entries.answers)
    assert standing.entry.trust is Trust.NOT_REPRODUCED


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


def test_runs_that_are_not_on_the_board_widen_no_tolerance(three: list[Submission], owner: User) -> None:
    before = reproductions.tolerance_of(factories.evaluation_of(three[1]))
    bad = run_of(owner, 5, three[0])
    services.withdraw(bad)
    evaluated(owner, 6, three[0])
    assert reproductions.tolerance_of(factories.evaluation_of(three[1])) == before


def test_two_runs_say_too_little_for_a_tolerance(owner: User) -> None:
    first = run_of(owner, 70)
    run_of(owner, 75, first)
    assert reproductions.tolerance_of(factories.evaluation_of(first)) == reproductions.TOLERANCE
