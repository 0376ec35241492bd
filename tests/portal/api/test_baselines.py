"""Baseline runs over the API: everybody reads, staff with the scope start and cancel."""

from __future__ import annotations

from typing import Any

import pytest

from evaluation.errors import Fault
from portal.accounts.models import ApiToken, User
from portal.outages.causes import Failure
from portal.runs.models import BaselineRun
from tests.portal import baselines, factories
from tests.portal.api.conftest import Api

pytestmark = pytest.mark.django_db

SETTINGS = {"target_modules": ["q_proj"], "rank": 4, "alpha": 8}


def body(**changes: Any) -> dict[str, Any]:
    factories.base_model()
    return {
        "challenge": "finance",
        "base_model": "example/tiny-llama",
        "preset": "cpu-one",
        "settings": SETTINGS,
        **changes,
    }


def test_staff_start_a_run_and_everybody_reads_it(staff: Api, nobody: Api) -> None:
    settings = SETTINGS | {"strategy": "fedprox", "strategy_options": {"proximal-mu": 0.5}, "rounds": 3}
    made = staff.post("baseline-runs/", body(settings=settings))
    assert made.status_code == 201, made.content
    run = BaselineRun.objects.get()
    assert made["Location"].endswith(f"/api/v1/baseline-runs/{run.pk}/")
    assert (run.rounds, run.config["strategy_options"], run.config["clients"]) == (3, {"proximal-mu": 0.5}, 4)
    read = nobody.get(f"baseline-runs/{run.pk}/").json()
    assert (read["status"], read["strategy"], read["round_metrics"]) == ("queued", "fedprox", [])
    assert [row["id"] for row in nobody.get("baseline-runs/?strategy=fedprox").json()["results"]] == [run.pk]
    assert nobody.get("baseline-runs/?strategy=fedavg").json()["results"] == []


def test_the_same_key_starts_one_run(staff: Api) -> None:
    first = staff.post("baseline-runs/", body(), Idempotency_Key="one")
    again = staff.post("baseline-runs/", body(), Idempotency_Key="one")
    assert first.json()["id"] == again.json()["id"] and BaselineRun.objects.count() == 1


def test_only_staff_with_the_scope_start_and_cancel(api: Api, nobody: Api, reviewer: User) -> None:
    run = baselines.run(reviewer)
    reads_only = Api(ApiToken.issue(user=reviewer, name="read", scopes=["read"])[1])
    for path in ("baseline-runs/", f"baseline-runs/{run.pk}/cancel/"):
        assert nobody.post(path, body()).status_code == 401
        assert api.post(path, body()).status_code == 403
        assert reads_only.post(path, body()).json()["type"].endswith("insufficient_scope")
    assert BaselineRun.objects.get().status == "queued"


def test_a_run_that_cannot_work_is_refused_with_every_reason(staff: Api) -> None:
    wrong = SETTINGS | {"strategy": "ffa-lora", "adapter": "dora", "clients_per_round": 9}
    answer = staff.post("baseline-runs/", body(settings=wrong))
    assert answer.status_code == 422 and answer.json()["type"].endswith("invalid_run")
    assert {"adapter", "clients_per_round"} <= {f["location"] for f in answer.json()["findings"]}
    assert not BaselineRun.objects.exists()


@pytest.mark.parametrize(
    "given",
    [
        {"roundz": 3},
        {"rounds": "three"},
        {"model": "/etc"},
        {"challenge": "medical"},
        {"strategy_options": {"proximal-mu": None}},
        {"partition": {"kind": "natural", "column": "a\0b"}},
        [],
    ],
)
def test_settings_that_cannot_be_read_are_named(staff: Api, given: Any) -> None:
    answer = staff.post("baseline-runs/", body(settings=given))
    assert answer.status_code == 400, answer.content
    assert "settings" in answer.json()["findings"][0]["location"]


def test_a_run_shows_its_rounds_and_its_error_to_staff(staff: Api, nobody: Api, reviewer: User) -> None:
    from portal.baselines import queue

    run = baselines.with_rounds(baselines.run(reviewer), 2)
    queue.fail_attempt(run, Failure("data", "/srv/rows is gone", Fault.INPUT))
    shown = nobody.get(f"baseline-runs/{run.pk}/").json()
    assert [r["round"] for r in shown["round_metrics"]] == [1, 2] and shown["setup"]["partition"]
    assert (shown["error_code"], shown["error_message"]) == ("data", "")
    assert staff.get(f"baseline-runs/{run.pk}/").json()["error_message"] == "/srv/rows is gone"


def test_cancelling_once_is_done_and_twice_is_a_conflict(staff: Api, reviewer: User) -> None:
    run = baselines.run(reviewer)
    assert staff.post(f"baseline-runs/{run.pk}/cancel/").json()["status"] == "cancelled"
    assert staff.post(f"baseline-runs/{run.pk}/cancel/").status_code == 409


def test_a_submission_is_retrained_by_its_number(staff: Api, owner: User) -> None:
    original = factories.evaluated(owner)
    answer = staff.post("baseline-runs/", body(reproduce=original.pk, preset="paper", settings={"rounds": 2}))
    assert answer.status_code == 201, answer.content
    run = BaselineRun.objects.get()
    assert (run.original, run.config["clients"], run.config["rank"]) == (original, 50, 4)
    assert "Rounds: changed to 2 from 8." in run.assumed
    refused = staff.post("baseline-runs/", body(reproduce=original.pk, challenge="medical"))
    assert refused.status_code == 400
    assert staff.post("baseline-runs/", body(reproduce=10**9)).status_code == 400


def test_what_retrains_a_private_submission_is_not_listed(staff: Api, nobody: Api, owner: User) -> None:
    original = factories.evaluated(owner)
    made = staff.post("baseline-runs/", body(reproduce=original.pk))
    number = made.json()["id"]
    assert nobody.get("baseline-runs/").json()["results"] == []
    assert nobody.get(f"baseline-runs/{number}/").status_code == 404
