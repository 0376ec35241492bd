"""Energy on boards and pages: points for each kWh, and carbon as an interval over grids."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from django.test import Client
from django.utils.html import strip_tags

from evaluation.energy import carbon_grams, points_per_kilowatt_hour
from leaderboard.figures import carbon
from leaderboard.reading.energy import answer_energy
from portal.accounts.models import User
from portal.intake.services import Cost
from portal.runs import services
from portal.runs.models import Score
from portal.submissions.models import Resource, Submission
from tests.portal import factories


def test_a_kilowatt_hour_emits_what_its_grid_does() -> None:
    assert carbon_grams(3.6e6) == (30.0, 713.0)
    assert carbon(3.6e6) == "30 to 713 g"
    assert carbon(36e6) == "0.3 to 7.13 kg"
    assert points_per_kilowatt_hour(0.1, 7.2e6) == pytest.approx(5.0)
    assert points_per_kilowatt_hour(0.1, 0) is None


@pytest.mark.django_db
def test_points_per_kwh_are_the_gain_over_the_energy_of_training(client: Client, owner: User) -> None:
    base = factories.submission(owner, kind=Submission.Kind.REFERENCE, files=None, method="untuned")
    factories.publish(factories.evaluate(base, correct=60))
    costs = [
        Cost(Resource.Kind.ENERGY, 9e6, Resource.Basis.MEASURED),
        Cost(Resource.Kind.ENERGY_NET, 7.2e6, Resource.Basis.MEASURED),
    ]
    entry = factories.published(owner, correct=70, costs=costs)
    declared = Cost(Resource.Kind.ENERGY, 3.6e6, Resource.Basis.DECLARED)
    factories.published(owner, correct=80, method="FedProx", costs=[declared])
    gross = Cost(Resource.Kind.ENERGY, 3.6e6, Resource.Basis.MEASURED)
    factories.published(owner, correct=80, method="FedAvgM", costs=[gross])
    file = client.get("/leaderboard/finance.csv")
    rows = list(csv.DictReader(io.StringIO(file.getvalue().decode())))
    found = {row["method"]: row for row in rows}
    column = next(name for name in rows[0] if name.startswith("points_per_kwh"))
    assert {name: row[column] and round(float(row[column]), 6) for name, row in found.items()} == {
        "FedAvg": 5.0, "FedProx": 20.0, "FedAvgM": "", "untuned": ""
    }, "measured above idle, or as it was declared; never with the idle draw of a machine here"  # fmt: skip
    assert (found["FedAvg"]["points_per_kwh_basis"], found["FedProx"]["points_per_kwh_basis"]) == (
        "measured", "declared"
    )  # fmt: skip
    assert found["FedAvg"]["energy_net [J]"] == "7200000.0"
    assert "0.075 to 1.78 kg of CO₂e" in client.get(f"/entries/{entry.pk}/").content.decode()


METER = "NVML of NVIDIA H100"


def answered(joules: float | None, method: str = METER) -> dict[str, Any]:
    gross = None if joules is None else 2 * joules
    return {"energy_joules": gross, "energy_net_joules": joules, "energy_method": method}


def test_the_energy_of_an_answer_does_not_depend_on_the_order_of_benchmarks() -> None:
    scores = [Score(n=1, energy_net_joules=joules, energy_method=METER) for joules in (0.1, 0.2, 0.3)]
    assert answer_energy(scores) == answer_energy(scores[::-1])


@pytest.mark.django_db
def test_the_energy_of_an_answer_is_a_column_with_its_meter(client: Client, owner: User) -> None:
    factories.published(owner, scores=answered(50.0))
    factories.published(owner, method="FedProx", scores=answered(None, "without NVML of MIG: it tells none"))
    file = client.get("/leaderboard/finance.csv")
    rows = {row["method"]: row for row in csv.DictReader(io.StringIO(file.getvalue().decode()))}
    assert (rows["FedAvg"]["answer_energy [J]"], rows["FedAvg"]["answer_energy_meter"]) == ("0.5", METER)
    assert rows["FedProx"]["answer_energy [J]"] == rows["FedProx"]["answer_energy_meter"] == ""
    one_meter = client.get("/leaderboard/finance.csv", {"meter": METER}).getvalue().decode()
    assert [row["method"] for row in csv.DictReader(io.StringIO(one_meter))] == ["FedAvg"]
    entries = client.get("/api/v1/leaderboards/finance/").json()["results"]
    assert {entry["method"]: entry["answer_energy_joules"] for entry in entries} == {
        "FedAvg": 0.5, "FedProx": None
    }  # fmt: skip


@pytest.mark.django_db
def test_an_entry_says_its_meter_and_how_well_its_energy_repeats(client: Client, owner: User) -> None:
    made = factories.published(owner, scores=answered(50.0))
    page = f"/entries/{made.pk}/"
    assert "Measured again" not in words(client, page)
    services.enqueue(made, 1)
    factories.evaluate(made, scores=answered(60.0))
    services.enqueue(made, 1)
    factories.evaluate(made, scores=answered(500.0, "NVML of NVIDIA A100"))
    services.enqueue(made, 1)
    factories.evaluate(made, scores=answered(70.0, f"{METER}; without RAPL package-0 of Xeon: not readable"))
    text = words(client, page)
    assert "Above idle, an answer 0.7 J Measured again 3 times, standard deviation 16.7%" in text
    assert f"Meter {METER}; without RAPL package-0 of Xeon: not readable" in text
    unmetered = factories.published(owner, method="FedProx", scores=answered(None, "without RAPL: no"))
    assert "Energy not measured: without RAPL: no" in words(client, f"/entries/{unmetered.pk}/")


def words(client: Client, page: str) -> str:
    return " ".join(strip_tags(client.get(page).content.decode()).split())
