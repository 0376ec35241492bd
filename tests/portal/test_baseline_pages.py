"""The baselines' pages: everybody reads, staff start, watch, cancel and judge."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from evaluation.errors import Fault
from evaluation.federated.config import BEFORE_TEMPLATES
from portal.accounts.models import User
from portal.baselines import queue, services
from portal.outages.causes import Failure
from portal.runs.models import BaselineRun, Reproduction
from portal.submissions.models import Submission
from tests.portal import baselines, factories

pytestmark = pytest.mark.django_db


def form_values(**changes: Any) -> dict[str, Any]:
    """What a browser sends for the CPU preset on the factories' base model."""
    from portal.baselines.forms import initial_of

    values = initial_of({**baselines.preset(), "target_modules": ("q_proj",), "rank": 4, "alpha": 8}) | {
        "base_model": factories.base_model().pk,
        "method": "",
    }
    sent = {
        name: value
        for name, value in {**values, **changes}.items()
        if value is not None and value is not False
    }
    return {name: ", ".join(value) if isinstance(value, tuple) else value for name, value in sent.items()}


def reference(owner: User, run: BaselineRun, **scores: Any) -> Submission:
    """The published entry of a run that waits longest."""
    claimed = queue.claim(worker="test")
    assert claimed and claimed.pk == run.pk
    entry = factories.submission(owner, kind=Submission.Kind.REFERENCE, method=run.method)
    queue.succeed(claimed, entry)
    factories.evaluate(entry, **scores)
    return factories.publish(entry)


def test_the_empty_grid_says_so(client: Client) -> None:
    assert b"No baseline has been trained yet" in client.get("/baselines/").content


def test_the_grid_shows_score_cost_and_link_and_what_is_under_way(
    client: Client, owner: User, reviewer: User
) -> None:
    entry = reference(owner, baselines.run(reviewer), correct=73)
    waiting = baselines.run(reviewer, strategy="fedprox")
    page = client.get("/baselines/").content.decode()
    assert f'href="/entries/{entry.pk}/"' in page and "73.00" in page
    assert f'href="/baselines/runs/{waiting.pk}/"' in page and "FedProx" in page
    assert "FlexLoRA" not in page


def test_the_grid_costs_the_same_however_many_runs_there_are(
    client: Client, owner: User, reviewer: User, django_assert_num_queries: Any
) -> None:
    reference(owner, baselines.run(reviewer))
    client.get("/baselines/")
    with django_assert_num_queries(5):
        client.get("/baselines/")
    for strategy in ("fedprox", "fedavgm"):
        reference(owner, baselines.run(reviewer, strategy=strategy))
    with django_assert_num_queries(5):
        client.get("/baselines/")


def test_the_list_is_filtered_by_its_address(client: Client, reviewer: User) -> None:
    first = baselines.run(reviewer, strategy="fedavg")
    second = baselines.run(reviewer, strategy="fedprox")
    page = client.get("/baselines/runs/?strategy=fedprox&status=nonsense").content.decode()
    assert f"/baselines/runs/{second.pk}/" in page and f"/baselines/runs/{first.pk}/" not in page
    assert "No run is like that" in client.get("/baselines/runs/?status=failed").content.decode()


@pytest.mark.parametrize("path", ["/baselines/runs/new/", "/baselines/runs/{pk}/cancel/"])
def test_only_staff_start_and_cancel(
    path: str, client: Client, as_stranger: Client, as_reviewer: Client, reviewer: User
) -> None:
    address = path.format(pk=baselines.run(reviewer).pk)
    assert client.get(address)["Location"].startswith("/accounts/login/")
    assert as_stranger.get(address).status_code == 403
    assert as_stranger.post(address, form_values()).status_code == 403
    assert as_reviewer.get(address).status_code == 200


def test_the_form_is_filled_from_a_preset_and_starts_what_it_says(as_reviewer: Client) -> None:
    factories.base_model()
    page = as_reviewer.get("/baselines/runs/new/?preset=paper&challenge=medical").content.decode()
    assert 'value="dora" selected' in page and 'value="medical" selected' in page
    answer = as_reviewer.post(
        "/baselines/runs/new/", form_values(strategy="fedprox", **{"option_proximal-mu": 2})
    )
    run = BaselineRun.objects.get()
    assert answer["Location"] == f"/baselines/runs/{run.pk}/"
    assert run.config["strategy_options"] == {"proximal-mu": 2.0}
    assert (run.method, run.config["train_data"]) == ("FedProx baseline", "demonstration/finance.jsonl")
    assert (run.status, run.requested_by.username) == ("queued", "reviewer")


def test_every_problem_is_shown_at_its_field_and_nothing_starts(as_reviewer: Client) -> None:
    wrong = form_values(
        strategy="ffa-lora", adapter="dora", target_modules="no_such_proj", clients_per_round=9
    )
    answer = as_reviewer.post("/baselines/runs/new/", wrong)
    page = answer.content.decode()
    assert answer.status_code == 422 and not BaselineRun.objects.exists()
    assert (
        "FFA-LoRA does not go with DoRA" in page
        and "no_such_proj" in page
        and "more than the clients" in page
    )


def test_checking_shows_the_plan_and_starts_nothing(as_reviewer: Client) -> None:
    page = as_reviewer.post("/baselines/runs/new/", form_values(action="check")).content.decode()
    assert "of the budget of" in page and "demonstration rows" in page
    assert not BaselineRun.objects.exists()
    assert "of the budget of" in as_reviewer.post("/baselines/runs/new/plan/", form_values()).content.decode()


def test_the_options_follow_the_strategy_and_the_preset(as_reviewer: Client) -> None:
    address = "/baselines/runs/new/options/?strategy=fedadam"
    options = as_reviewer.get(address).content.decode()
    assert 'name="option_tau"' in options and "proximal" not in options
    assert 'name="option_eta" value="0.01"' in options
    assert 'name="option_eta" value="0.1"' in as_reviewer.get(f"{address}&preset=paper").content.decode()


def test_the_form_of_the_rows_is_chosen_and_shown(client: Client, as_reviewer: Client) -> None:
    as_reviewer.post("/baselines/runs/new/", form_values(template="alpaca", learn_end_token="on"))
    run = BaselineRun.objects.get()
    assert (run.config["template"], run.config["instruction_columns"]) == ("alpaca", ["instruction", "input"])
    page = client.get(f"/baselines/runs/{run.pk}/").content.decode()
    assert "Alpaca, instruction from instruction + input" in page
    assert "end token learnt" in page and "train.template = &quot;alpaca&quot;" in page


def test_a_run_from_before_templates_is_shown_as_what_it_trained(client: Client, reviewer: User) -> None:
    config = {
        name: value for name, value in baselines.run(reviewer).config.items() if name not in BEFORE_TEMPLATES
    }
    old = BaselineRun.objects.create(
        challenge="finance", base_model=factories.base_model(), strategy="fedavg", precision="fp32",
        method="old", config=config, rounds=2, requested_by=reviewer,
    )  # fmt: skip
    page = client.get(f"/baselines/runs/{old.pk}/").content.decode()
    assert "FinGPT" in page and "end token learnt, rows drawn anew each round, batches of like length" in page


def test_a_run_is_shown_round_by_round_until_it_is_over(
    client: Client, as_reviewer: Client, reviewer: User
) -> None:
    run = baselines.with_rounds(baselines.run(reviewer), 2)
    page = client.get(f"/baselines/runs/{run.pk}/").content.decode()
    assert f'hx-get="/baselines/runs/{run.pk}/live/"' in page
    assert "Loss over the rounds" in page and "its loss is not finite" in page
    assert "Rows of each client, from 10 to 40" in page and "strategy.name = &quot;fedavg&quot;" in page
    queue.fail_attempt(run, Failure("data", "The rows are gone.", Fault.INPUT))
    over = client.get(f"/baselines/runs/{run.pk}/live/").content.decode()
    assert "hx-get" not in over and "The run failed" in over and "The rows are gone." not in over
    assert "The rows are gone." in as_reviewer.get(f"/baselines/runs/{run.pk}/live/").content.decode()


def test_a_long_run_of_many_clients_stays_a_page_that_can_be_read(client: Client, reviewer: User) -> None:
    run = baselines.run(reviewer, rounds=450)
    claimed = queue.claim(worker="test")
    assert claimed
    queue.record_setup(claimed, baselines.ready(*[2] * 1000))
    for number in range(1, 451):
        queue.record_round(claimed, baselines.metric(number))
    page = client.get(f"/baselines/runs/{run.pk}/").content.decode()
    assert page.count("<rect ") <= 200 and "1000 clients with 2 rows each" in page
    assert "The last 200 rounds." in page and page.count("<tr>") == 201


def test_staff_cancel_after_a_question_and_run_again(as_reviewer: Client, reviewer: User) -> None:
    run = baselines.run(reviewer, rounds=7)
    assert b"cannot be undone" in as_reviewer.get(f"/baselines/runs/{run.pk}/cancel/").content
    as_reviewer.post(f"/baselines/runs/{run.pk}/cancel/")
    run.refresh_from_db()
    assert (run.status, run.error_message) == ("cancelled", "Cancelled by reviewer.")
    again = as_reviewer.post(f"/baselines/runs/{run.pk}/cancel/", follow=True).content.decode()
    assert "The run is over already: cancelled." in again
    form = as_reviewer.get(f"/baselines/runs/new/?from={run.pk}").content.decode()
    assert 'name="rounds" value="7"' in form


def test_a_run_says_its_threads_unless_it_is_from_before_they_were_a_setting(
    client: Client, reviewer: User
) -> None:
    run = baselines.run(reviewer, threads=3)
    assert "3 of a client on the CPU" in client.get(f"/baselines/runs/{run.pk}/").content.decode()
    config = {name: value for name, value in run.config.items() if name != "threads"}
    old = BaselineRun.objects.create(
        challenge=run.challenge, base_model=run.base_model, strategy=run.strategy, precision=run.precision,
        method=run.method, config=config, rounds=run.rounds, requested_by=reviewer,
    )  # fmt: skip
    page = client.get(f"/baselines/runs/{old.pk}/").content.decode()
    assert "of a client on the CPU" not in page and "Seed" in page


def test_a_retraining_of_what_is_not_public_is_staffs_alone(
    client: Client, as_reviewer: Client, owner: User, reviewer: User
) -> None:
    original = factories.evaluated(owner)
    run = baselines.run(reviewer, original=original)
    assert client.get(f"/baselines/runs/{run.pk}/").status_code == 404
    assert f"/baselines/runs/{run.pk}/" not in client.get("/baselines/runs/").content.decode()
    assert as_reviewer.get(f"/baselines/runs/{run.pk}/").status_code == 200
    factories.publish(original)
    assert client.get(f"/baselines/runs/{run.pk}/").status_code == 200


def test_a_submission_is_retrained_from_its_method_card(as_reviewer: Client, owner: User) -> None:
    original = factories.evaluated(owner)
    page = as_reviewer.get(f"/submissions/{original.pk}/").content.decode()
    assert f'href="/baselines/runs/new/?reproduce={original.pk}"' in page
    review = as_reviewer.get(f"/admin/submissions/submission/{original.pk}/change/").content.decode()
    assert f'href="/baselines/runs/new/?reproduce={original.pk}"' in review
    address = f"/baselines/runs/new/?reproduce={original.pk}"
    form = as_reviewer.get(address).content.decode()
    assert "Retrain “FedAvg”" in form and 'name="rounds" value="8"' in form
    assert "Seed: cards have none" in form and "Threads: cards have none, 2 here." in form
    as_reviewer.post(address, form_values(clients=50, clients_per_round=5, rounds=8, threads=4))
    run = BaselineRun.objects.get()
    assert run.original == original
    assert (
        f'href="/baselines/runs/{run.pk}/"'
        in as_reviewer.get(f"/submissions/{original.pk}/").content.decode()
    )
    assert "Local steps: changed to 3 from 10." in run.assumed
    assert "Threads: changed to 4 from 2." in run.assumed


def test_a_retraining_keeps_challenge_and_base_model(as_reviewer: Client, owner: User) -> None:
    original = factories.evaluated(owner)
    answer = as_reviewer.post(
        f"/baselines/runs/new/?reproduce={original.pk}", form_values(challenge="medical")
    )
    assert answer.status_code == 422 and "a retraining keeps it" in answer.content.decode()


def test_an_untuned_entry_cannot_be_retrained(as_reviewer: Client, owner: User) -> None:
    untuned = factories.submission(owner, kind=Submission.Kind.REFERENCE, files=None)
    answer = as_reviewer.get(f"/baselines/runs/new/?reproduce={untuned.pk}", follow=True)
    assert "Only a submission with an adapter" in answer.content.decode()


def test_staff_confirm_a_comparison_and_only_then_everybody_sees_it(
    client: Client, as_reviewer: Client, as_stranger: Client, owner: User, reviewer: User
) -> None:
    original = factories.publish(factories.evaluated(owner, correct=70, scores=baselines.answers(70)))
    run = baselines.run(reviewer, original=original)
    reference(owner, run, correct=71, scores=baselines.answers(71))
    found = Reproduction.objects.get(run=run)
    assert found.outcome == "reproduced"
    page = f"/baselines/runs/{run.pk}/"
    assert "Beside the original" not in client.get(page).content.decode()
    assert as_stranger.post(f"{page}verdict/", {"verdict": "confirmed"}).status_code == 403
    refused = as_reviewer.post(f"{page}verdict/", {"verdict": "set_aside"}, follow=True)
    assert "give a reason" in refused.content.decode()
    as_reviewer.post(f"{page}verdict/", {"verdict": "confirmed"})
    assert "Beside the original" in client.get(page).content.decode()


def test_a_stranger_in_the_references_team_is_named_and_nothing_starts(
    as_reviewer: Client, stranger: User
) -> None:
    from portal.accounts.models import Membership, Team

    team = Team.objects.create(name=services.TEAM)
    Membership.objects.create(team=team, user=stranger, role=Membership.Role.OWNER)
    answer = as_reviewer.post("/baselines/runs/new/", form_values())
    assert answer.status_code == 422
    assert "may not submit reference entries: stranger" in answer.content.decode()
