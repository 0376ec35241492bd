"""Adapters measured on the other domains: asked for by their team, behind all else, and never on a board."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from leaderboard.reading import snapshots
from leaderboard.reading.queries import entry_of
from portal.accounts.models import User
from portal.runs import services as runs
from portal.runs import transfer
from portal.runs.models import Evaluation
from portal.submissions.models import Submission
from tests.portal import factories
from tests.portal.transfers import bits, measure, measure_all

pytestmark = pytest.mark.django_db

OTHERS = ("general-nlp", "medical", "code")
SCORED = {"correct_bits": bits(70), "scored_bits": bits(100)}
ADAPTER = {"general-nlp": 55, "medical": 40, "code": 50}
BASE = {"general-nlp": 50, "medical": 60, "code": 50, "finance": 60}


def entry(owner: User, **changes: Any) -> Submission:
    """A published adapter with 70 of 100 right at home, evaluated in the protocol's precision."""
    made = factories.submission(owner, **changes)
    home = runs.claim(worker="test")
    assert home and home.submission == made
    measure(home, 70)
    made.refresh_from_db()
    return factories.publish(made)


def right(evaluation: Evaluation) -> int:
    """The base model has the same right under any adapter."""
    return (BASE if evaluation.purpose == "base" else ADAPTER)[evaluation.domain]


def kinds(evaluations: list[Evaluation]) -> set[tuple[str, str]]:
    return {(one.purpose, one.domain) for one in evaluations}


def test_the_other_domains_are_asked_of_the_adapter_and_all_of_its_base_model(owner: User) -> None:
    made = entry(owner)
    queued = transfer.ask(made)
    assert kinds(queued) == {
        *(("transfer", domain) for domain in OTHERS),
        *(("base", domain) for domain in (*OTHERS, "finance")),
    }
    assert all((one.checkpoint is None) == (one.purpose == "base") for one in queued)
    with pytest.raises(transfer.TransferRefused, match="or that is under way"):
        transfer.ask(made)
    measure_all(right)
    assert {one.status for one in Evaluation.objects.exclude(purpose="board")} == {"measured"}
    assert transfer.state_of(made) == transfer.State(7, 0, 0)
    made.refresh_from_db()
    assert made.status == "published"


def test_the_base_models_results_are_reused_by_every_adapter_on_it(owner: User) -> None:
    transfer.ask(entry(owner))
    measure_all(right)
    other = entry(factories.user("other"), method="another")
    assert kinds(transfer.ask(other)) == {("transfer", domain) for domain in OTHERS}


@pytest.mark.parametrize("is_public", [True, False])
def test_only_a_published_untuned_entry_stands_for_the_base_model(is_public: bool, owner: User) -> None:
    untuned = factories.submission(owner, method="untuned", files=None, kind=Submission.Kind.REFERENCE)
    home = runs.claim(worker="test")
    assert home and home.submission == untuned
    measure(home, 60)
    untuned.refresh_from_db()
    if is_public:
        factories.publish(untuned)
    assert (("base", "finance") in kinds(transfer.ask(entry(owner)))) is not is_public


def test_an_entry_says_its_gain_at_home_and_its_change_elsewhere(owner: User) -> None:
    made = entry(owner)
    assert entry_of(made.pk).transfer == ()
    transfer.ask(made)
    measure_all(right)
    found = entry_of(made.pk)
    changes = {change.domain: round(change.difference, 3) for change in found.transfer}
    assert changes == {"general-nlp": 0.05, "finance": 0.1, "medical": -0.2, "code": 0.0}
    medical = next(change for change in found.transfer if change.domain == "medical")
    assert medical.interval and medical.joint
    assert medical.joint[0] < medical.interval[0] < -0.2 < medical.interval[1] < medical.joint[1] < 0
    assert found.worst_elsewhere and found.worst_elsewhere.domain == "medical"
    # On code no answer differs, so nothing bounds what the lowest true change is.
    assert found.worst_elsewhere.interval is None


def test_the_worst_change_is_not_said_until_every_domain_is_measured(owner: User) -> None:
    transfer.ask(entry(owner))
    measure_all(right)
    missing = entry(factories.user("other"), method="partly")
    transfer.ask(missing)
    for _ in range(2):
        claimed = runs.claim(worker="test")
        assert claimed
        measure(claimed, right(claimed))
    found = entry_of(missing.pk)
    assert len(found.transfer) == 3 and found.worst_elsewhere is None


def test_nothing_of_it_counts_on_a_board(owner: User) -> None:
    made = entry(owner)
    before = snapshots.afresh("finance").by_id[made.pk]
    transfer.ask(made)
    measure_all(right)
    after = snapshots.afresh("finance").by_id[made.pk]
    assert (after.entry.scores, after.rank) == (before.entry.scores, before.rank)
    assert after.entry.worst_elsewhere
    assert all(not snapshots.afresh(domain).standings for domain in OTHERS)


def test_a_board_is_built_anew_once_something_was_measured(owner: User) -> None:
    made = entry(owner)
    assert snapshots.checked("finance").by_id[made.pk].entry.transfer == ()
    transfer.ask(made)
    measure_all(right)
    assert len(snapshots.checked("finance").by_id[made.pk].entry.transfer) == 4


def test_it_waits_until_nothing_of_a_board_does_and_then_an_entry_at_a_time(owner: User) -> None:
    first, second = entry(owner), entry(factories.user("other"), method="another")
    transfer.ask(first)
    transfer.ask(second)
    new = factories.submission(factories.user("late"), method="late")
    claimed = runs.claim(worker="test")
    assert claimed and claimed.submission == new
    measure(claimed, 70)
    order = [one.submission_id for one in measure_all(right, loaded_base_model=first.base_model_id)]
    assert order == [first.pk] * 7 + [second.pk] * 3


def test_only_an_evaluated_adapter_is_measured(owner: User) -> None:
    with pytest.raises(transfer.TransferRefused, match="It is queued"):
        transfer.ask(factories.submission(owner))


def test_an_operator_has_every_adapter_measured(owner: User, settings: Any) -> None:
    settings.MEASURE_TRANSFER = True
    entry(owner)
    assert Evaluation.objects.filter(purpose="transfer", status="queued").count() == 3


def test_withdrawing_an_entry_ends_its_measuring(owner: User) -> None:
    from portal.intake import services

    made = entry(owner)
    transfer.ask(made)
    services.withdraw(made)
    assert not Evaluation.objects.filter(status="queued").exists()


def test_what_others_wait_for_of_the_base_model_is_queued_anew_when_an_entry_is_withdrawn(
    owner: User, django_capture_on_commit_callbacks: Any
) -> None:
    from portal.intake import services

    first, second = entry(owner), entry(factories.user("other"), method="another")
    transfer.ask(first)
    transfer.ask(second)
    with django_capture_on_commit_callbacks(execute=True):
        services.withdraw(first)
    waiting = Evaluation.objects.filter(status="queued", purpose="base")
    assert {(one.submission_id, one.domain) for one in waiting} == {(second.pk, domain) for domain in BASE}
    measure_all(right)
    assert transfer.state_of(second) == transfer.State(7, 0, 0)


def test_where_the_site_computes_in_another_precision_now_nothing_is_queued(
    owner: User, settings: Any
) -> None:
    made = entry(owner)
    settings.EVALUATION_PRECISION = "bf16"
    with pytest.raises(transfer.TransferRefused, match="in fp4, and this site now evaluates in bf16"):
        transfer.ask(made)
    assert not Evaluation.objects.exclude(purpose="board").exists()


class TestTheDatabase:
    """Holds that what is measured beside a board is no result of it."""

    def test_lets_none_of_it_succeed_and_no_evaluation_of_a_board_be_measured(self, owner: User) -> None:
        made = entry(owner)
        transfer.ask(made)
        runs.enqueue(made, 1)
        assert runs.claim(worker="a") and runs.claim(worker="b")
        for purpose, status in (("board", "measured"), ("transfer", "succeeded")):
            running = Evaluation.objects.filter(status="running", purpose=purpose)
            assert running.count() == 1
            with pytest.raises(IntegrityError, match="beside_the_board"), transaction.atomic():
                running.update(
                    status=status, claim_id=None, lease_expires_at=None, finished_at=timezone.now()
                )


class TestPages:
    def test_a_team_asks_on_its_submissions_page_and_reads_the_matrix_on_the_entrys(
        self, owner: User, client: Client
    ) -> None:
        made = entry(owner)
        client.force_login(owner)
        page = client.get(made.get_absolute_url()).content.decode()
        assert "Measure it on the other domains" in page
        client.post(reverse("submissions:transfer", args=[made.pk]))
        assert "7 wait or run" in client.get(made.get_absolute_url()).content.decode()
        measure_all(right)
        page = client.get(reverse("entry", args=[made.pk])).content.decode()
        assert "On each domain, against the base model" in page and "\N{MINUS SIGN}20.00" in page
        assert "points, on Medical" in page

    def test_a_stranger_cannot_ask(self, owner: User, client: Client) -> None:
        made = entry(owner)
        client.force_login(factories.user("stranger"))
        assert client.post(reverse("submissions:transfer", args=[made.pk])).status_code == 404
        assert not Evaluation.objects.exclude(purpose="board").exists()

    def test_the_api_has_the_matrix_and_the_board_its_column(self, owner: User, client: Client) -> None:
        made = entry(owner)
        transfer.ask(made)
        measure_all(right)
        body = client.get(f"/api/v1/entries/{made.pk}/transfer/").json()
        assert [domain["domain"] for domain in body["domains"]] == [
            "general-nlp",
            "finance",
            "medical",
            "code",
        ]
        assert body["domains"][2]["difference"] == pytest.approx(-0.2)
        assert body["domains"][1]["is_home"] and len(body["domains"][2]["benchmarks"]) == 4
        assert body["worst_elsewhere"]["domain"] == "medical"
        row = client.get("/api/v1/leaderboards/finance/").json()["results"][0]
        assert row["worst_elsewhere"] == pytest.approx(-0.2)
        written = client.get("/leaderboard/finance.csv").getvalue().decode()
        assert "worst_elsewhere_domain" in written and "medical" in written

    def test_the_boards_pictures_show_it(self, owner: User, client: Client) -> None:
        made = entry(owner)
        transfer.ask(made)
        measure_all(right)
        page = client.get("/leaderboard/finance/charts/transfer.svg")
        assert page.status_code == 200, page.content
        assert b"General NLP" in page.content
