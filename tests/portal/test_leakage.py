"""What adapters give away of their training rows: where it can be measured, and where it is shown."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.test import Client
from django.urls import reverse

from evaluation.wire.leakage import ClientLeakage, Exposure, LeakageMeasured, Membership
from leaderboard.reading.queries import entry_of
from portal.accounts.models import User
from portal.dumps.tables import TABLES
from portal.runs import leakage
from portal.runs import services as runs
from portal.runs.models import BaselineRun, Leakage
from portal.submissions.models import Submission
from portal.submissions.training_data import TRAINING_SET_ALONE
from tests.portal import baselines, factories

pytestmark = pytest.mark.django_db

LOSS_RATIO = Membership("loss_ratio", 0.8, (0.75, 0.85), 0.2, (0.1, 0.3))
MEASURED = LeakageMeasured(
    job="",
    members=500,
    others=400,
    memberships=(
        LOSS_RATIO,
        Membership("min_k", 0.6, (0.55, 0.65), 0.05, (0.02, 0.08)),
        Membership("base_alone", 0.51, (0.47, 0.55), 0.01, (0.0, 0.03)),
    ),
    clients=(ClientLeakage(3, 250, LOSS_RATIO),),
    exposures=(Exposure(3, 7.0, 8.0),),
    seconds=12.0,
)


def entry(owner: User, **changes: Any) -> Submission:
    return factories.published(owner, **{"training_data": TRAINING_SET_ALONE, **changes})


def measured(made: Submission, found: LeakageMeasured = MEASURED) -> Submission:
    leakage.ask(made)
    evaluation = runs.claim(worker="test")
    assert evaluation and evaluation.purpose == "leakage"
    leakage.record(evaluation, found)
    runs.succeed(evaluation, provenance={"precision": "fp32"})
    return made


def trained_here(owner: User, held_out: int) -> Submission:
    """A published entry that came of a run of this site."""
    made = entry(owner, method="trained here", training_data="other rows")
    run = baselines.with_rounds(baselines.run(factories.operator(), held_out=held_out, evaluate_every=1), 2)
    BaselineRun.objects.filter(pk=run.pk).update(
        status="succeeded",
        submission=made,
        claim_id=None,
        lease_expires_at=None,
        finished_at=made.published_at,
    )
    return made


def test_it_is_measured_once_and_changes_nothing_of_the_entry(owner: User) -> None:
    made = measured(entry(owner))
    assert leakage.state_of(made) == leakage.State(True, False, "")
    with pytest.raises(leakage.LeakageRefused, match="It is measured"):
        leakage.ask(made)
    made.refresh_from_db()
    assert made.status == "published"
    found = entry_of(made.pk).leakage
    assert found and (found.auc, found.interval, found.basis, found.epsilon) == (
        0.8, (0.75, 0.85), "declared", None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"training_data": "Our own tweets."}, "states other training data"),
        ({"challenge": "medical"}, "flashcards, is one split with nothing held out"),
    ],
)
def test_it_is_refused_where_nobody_knows_rows_that_were_not_trained_on(
    changes: dict[str, Any], why: str, owner: User
) -> None:
    with pytest.raises(leakage.LeakageRefused, match=why):
        leakage.ask(entry(owner, **changes))


def test_of_a_training_here_it_is_known_who_took_part(owner: User) -> None:
    made = measured(trained_here(owner, held_out=32))
    found = leakage.result_of(made)
    assert found and found.basis == "measured"
    run = leakage.run_of(made)
    assert run and [bool(clients) for clients in leakage.rounds_of(run)] == [True, True]


def test_a_training_here_must_have_held_rows_out(owner: User) -> None:
    with pytest.raises(leakage.LeakageRefused, match="held fewer than 20 rows out"):
        leakage.ask(trained_here(owner, held_out=8))


def test_what_was_measured_does_not_change(owner: User) -> None:
    measured(entry(owner))
    with pytest.raises(DatabaseError, match="leakage_immutable"), transaction.atomic():
        Leakage.objects.update(auc=0.5)


def test_an_operator_has_it_of_every_adapter_where_it_can_be_had(owner: User, settings: Any) -> None:
    settings.MEASURE_LEAKAGE = True
    one, other = (
        factories.evaluated(owner, method=text, training_data=text) for text in ("x", TRAINING_SET_ALONE)
    )
    assert (leakage.under_way(one), leakage.under_way(other)) == (False, True)


def test_entry_board_files_api_and_dump_show_it(owner: User, client: Client) -> None:
    made = measured(entry(owner))
    page = client.get(reverse("entry", args=[made.pk])).content.decode()
    assert "What it gives away of its training rows" in page
    assert "0.800" in page and "Client 3" in page and "client 3 7.0 of 8" in page
    assert "differ by themselves" not in page
    row = client.get("/api/v1/leaderboards/finance/").json()["results"][0]
    assert (row["leakage_auc"], row["leakage_auc_interval"]) == (0.8, [0.75, 0.85])
    body = client.get(f"/api/v1/entries/{made.pk}/leakage/").json()
    assert [one["signal"] for one in body["memberships"]] == ["loss_ratio", "min_k", "base_alone"]
    assert body["clients"][0]["membership"]["auc"] == 0.8 and body["exposures"][0]["bits"] == 7.0
    assert b"leakage_basis" in client.get("/leaderboard/finance.csv").getvalue()
    table = next(one for one in TABLES if one.name == "leakages")
    assert [row.auc for row in table.rows()] == [0.8]


def test_a_page_says_where_the_base_model_tells_the_rows_apart(owner: User, client: Client) -> None:
    apart = Membership("base_alone", 0.7, (0.65, 0.75), 0.1, (0.05, 0.15))
    made = measured(
        entry(owner),
        LeakageMeasured("", 500, 400, (*MEASURED.memberships[:2], apart), (), (), 1.0),
    )
    assert "differ by themselves" in client.get(reverse("entry", args=[made.pk])).content.decode()


def test_where_nothing_can_be_measured_page_and_method_say_why(owner: User, client: Client) -> None:
    made = entry(owner, challenge="medical")
    why = "flashcards, is one split with nothing held out"
    assert why in client.get(reverse("entry", args=[made.pk])).content.decode()
    assert why in client.get(reverse("method")).content.decode()


def test_scores_that_are_all_equal_are_no_difference_of_the_rows(owner: User, client: Client) -> None:
    alike = Membership("base_alone", 0.5, None, 0.0, (0.0, 0.01))
    found = LeakageMeasured("", 500, 400, (*MEASURED.memberships[:2], alike), (), (), 1.0)
    made = measured(entry(owner), found)
    assert "differ by themselves" not in client.get(reverse("entry", args=[made.pk])).content.decode()


def test_a_team_asks_on_its_submissions_page(owner: User, client: Client) -> None:
    made = entry(owner)
    client.force_login(owner)
    assert "Measure its leakage" in client.get(made.get_absolute_url()).content.decode()
    client.post(reverse("submissions:leakage", args=[made.pk]))
    assert "once nothing else waits" in client.get(made.get_absolute_url()).content.decode()
