"""Runs whose clients differ: how the form asks for them, and what their page shows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.test import Client

from evaluation.federated import data, partitioning
from evaluation.federated.config import FederatedConfig
from evaluation.federated.devices import Devices
from evaluation.wire.training import ClientLoss
from portal.accounts.models import User
from portal.baselines import queue, training_rows
from portal.runs.models import BaselineRun
from tests.portal import baselines, factories

from .test_baseline_pages import form_values

pytestmark = pytest.mark.django_db


def test_the_form_takes_lists_for_the_clients_and_says_what_is_no_list(
    as_reviewer: Client,
) -> None:
    values = form_values(
        strategy="hetlora",
        devices_ranks="2, 4",
        devices_speeds="1, 0.5",
        devices_deadline=6,
        compression="int8",
        **{"option_prune-decay": 0.9, "option_prune-weight": 0.1},
    )
    page = as_reviewer.post("/baselines/runs/new/", values | {"devices_steps": "two"})
    assert b"Enter numbers with commas between." in page.content
    page = as_reviewer.post("/baselines/runs/new/", values | {"devices_ranks": "2, 5"})
    assert b"ranks must be from 1 to 4, not 5" in page.content
    as_reviewer.post("/baselines/runs/new/", values)
    run = BaselineRun.objects.get()
    assert run.config["devices"] == {
        "ranks": [2, 4],
        "steps": [],
        "speeds": [1.0, 0.5],
        "deadline": 6.0,
        "drop_out": 0.0,
        "poisoned": 0,
    }
    assert run.config["compression"] == "int8"


def test_a_run_s_page_says_how_clients_differ_and_draws_the_worst_client_s_loss(
    client: Client, reviewer: User
) -> None:
    devices = Devices(ranks=(2, 4), speeds=(1.0, 0.25), deadline=8.0, drop_out=0.1)
    baselines.run(
        reviewer,
        strategy="flexlora",
        devices=devices,
        compression="bf16",
        own_held_out=2,
        held_out=8,
        evaluate_every=1,
    )
    run = queue.claim(worker="test")
    assert run is not None
    for number in (1, 2):
        losses = (ClientLoss(0, 1.5 / number), ClientLoss(1, 2.5 / number))
        queue.record_round(run, baselines.metric(number, client_losses=losses, simulated_time=8.0))
    page = client.get(f"/baselines/runs/{run.pk}/").content.decode()
    assert "rank 2, 4; speed 1, 0.25" in page
    assert "8 steps&#x27; time" in page and "0.1 of the clients asked" in page and "bf16" in page
    assert "Loss on the clients&#x27; own held-out rows" in page and "worst client" in page
    own = page[page.index("own loss</h2>") :]
    assert "after round 2; the worst first" in own and own.index("1.2500") < own.index("0.7500")
    first, second = run.round_metrics.all()
    assert (first.worst_client_loss, first.mean_client_loss, second.worst_client_loss) == (2.5, 2.0, 1.25)
    api = client.get(f"/api/v1/baseline-runs/{run.pk}/").json()["round_metrics"][0]
    assert (api["client_losses"][1], api["simulated_time"]) == ({"client": 1, "loss": 2.5}, 8.0)


@pytest.mark.parametrize("ranks", ["9" * 399, "99999999999999999999"])
def test_a_rank_that_no_adapter_has_is_named_and_nothing_is_computed_of_it(
    as_reviewer: Client, ranks: str
) -> None:
    asked = {"option_prune-decay": 0.9, "option_prune-weight": 0.1, "devices_ranks": ranks}
    values = form_values(strategy="hetlora", **asked)
    page = as_reviewer.post("/baselines/runs/new/plan/", values).content.decode()
    assert "ranks must be from 1 to 4, not 99" in page and "communicates" not in page


def test_a_run_of_no_clients_is_refused_with_every_reason_that_is_one(as_reviewer: Client) -> None:
    baselines.config()
    for clients in (0, -1):
        settings = {"target_modules": ["q_proj"], "rank": 4, "clients": clients, "clients_per_round": clients}
        asked = {"challenge": "finance", "base_model": factories.base_model().hub_id, "settings": settings}
        answer = as_reviewer.post("/api/v1/baseline-runs/", asked, content_type="application/json")
        assert answer.status_code == 422
        places = {finding["location"] for finding in answer.json()["findings"]}
        assert "clients" in places and not any(place.startswith("devices") for place in places)


def test_one_client_a_domain_trains_on_the_rows_of_all_challenges(as_reviewer: Client) -> None:
    values = form_values(partition_kind="natural", partition_column="domain")
    page = as_reviewer.post("/baselines/runs/new/plan/", values).content.decode()
    assert "cannot start" not in page
    as_reviewer.post("/baselines/runs/new/", values)
    run = BaselineRun.objects.get()
    assert run.config["train_data"] == "demonstration/all-domains"
    rows = data.read(training_rows.path_of(run.config["train_data"]))
    known = training_rows.rows_of("finance", "domain")
    assert known.rows == len(rows.rows) and known.demonstration and not known.on_hub
    division = partitioning.split(replace(FederatedConfig.from_dict(run.config), held_out=0), rows)
    domains = rows.column("domain")
    assert [len({domains[place] for place in part}) for part in division.clients] == [1, 1, 1, 1]
