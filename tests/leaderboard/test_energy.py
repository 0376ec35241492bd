"""Energy on boards and pages: points for each kWh, and carbon as an interval over grids."""

from __future__ import annotations

import csv
import io

import pytest
from django.test import Client

from evaluation.energy import carbon_grams, points_per_kilowatt_hour
from leaderboard.figures import carbon
from portal.accounts.models import User
from portal.intake.services import Cost
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
    energy = Cost(Resource.Kind.ENERGY, 7.2e6, Resource.Basis.MEASURED)
    entry = factories.published(owner, correct=70, costs=[energy])
    file = client.get("/leaderboard/finance.csv")
    rows = list(csv.DictReader(io.StringIO(file.getvalue().decode())))
    found = {row["method"]: row for row in rows}
    column = next(name for name in rows[0] if name.startswith("points_per_kwh"))
    assert float(found["FedAvg"][column]) == pytest.approx(5.0) and found["untuned"][column] == ""
    assert "0.06 to 1.43 kg of CO₂e" in client.get(f"/entries/{entry.pk}/").content.decode()
