"""Evaluations and the single answers behind their scores."""

from __future__ import annotations

import json

import pytest

from portal.accounts.models import User
from portal.runs import claims
from portal.runs import services as runs
from tests.portal import factories
from tests.portal.api.conftest import Api

pytestmark = pytest.mark.django_db


def test_a_running_evaluation_tells_its_progress_to_the_team(
    api: Api, teammate: Api, staff: Api, other: Api, nobody: Api, owner: User
) -> None:
    factories.submission(owner)
    evaluation = runs.claim(worker="test")
    assert evaluation
    live = {"phase": "evaluating", "benchmark": "fpb", "done": 3, "total": 9, "rate": 1.5, "eta": 4.0}
    claims.renew(evaluation, progress=live)
    for reader in (api, teammate, staff):
        body = reader.get(f"evaluations/{evaluation.pk}/").json()
        assert body["status"] == "running" and body["submission"] == evaluation.submission_id
        progress = body["progress"]
        assert (progress["benchmark"], progress["done"], progress["rate"]) == ("fpb", 3, 1.5)
    for reader in (other, nobody):
        assert reader.get(f"evaluations/{evaluation.pk}/").status_code == 404


def test_scores_lead_to_their_items(api: Api, owner: User) -> None:
    evaluation = factories.evaluation_of(factories.evaluated(owner))
    body = api.get(f"evaluations/{evaluation.pk}/").json()
    assert body["progress"] is None and [s["value"] for s in body["scores"]] == [0.7, 0.7, 0.7]
    address = body["scores"][0]["items"].partition("/api/v1/")[2]
    download = api.get(address)
    assert download.status_code == 200 and download["Content-Type"] == "application/x-ndjson"
    lines = b"".join(download.streaming_content).splitlines()
    assert [json.loads(line) for line in lines] == [{}]
    assert download["Content-Length"] == "3" and "attachment" in download["Content-Disposition"]


def test_items_are_for_the_team_and_staff_until_they_are_published(
    api: Api, teammate: Api, staff: Api, other: Api, nobody: Api, owner: User
) -> None:
    hidden = factories.evaluation_of(factories.evaluated(owner))
    path = f"evaluations/{hidden.pk}/items/fpb/"
    assert [status_of(reader, path) for reader in (api, teammate, staff)] == [200, 200, 200]
    assert [status_of(reader, path) for reader in (other, nobody)] == [404, 404]
    public = factories.evaluation_of(factories.published(owner, method="Public"))
    path = f"evaluations/{public.pk}/items/fpb/"
    assert [status_of(reader, path) for reader in (api, other, nobody)] == [200, 200, 200]


def status_of(reader: Api, path: str) -> int:
    answer = reader.get(path)
    if answer.streaming:
        b"".join(answer.streaming_content)  # read to its end, the file is closed
    return int(answer.status_code)


def test_items_that_were_fetched_before_are_not_sent_again(api: Api, owner: User) -> None:
    evaluation = factories.evaluation_of(factories.evaluated(owner))
    path = f"evaluations/{evaluation.pk}/items/fpb/"
    first = api.get(path)
    b"".join(first.streaming_content)
    again = api.get(path, If_None_Match=first["ETag"])
    assert again.status_code == 304 and again.content == b""


def test_items_that_are_not_there_are_a_problem_in_any_format(api: Api, owner: User) -> None:
    evaluation = factories.evaluation_of(factories.evaluated(owner))
    unknown = api.get(f"evaluations/{evaluation.pk}/items/medqa/", Accept="application/x-ndjson")
    assert unknown.status_code == 404 and unknown["Content-Type"] == "application/problem+json"
    evaluation.scores.get(benchmark="fpb").items.delete(save=False)
    gone = api.get(f"evaluations/{evaluation.pk}/items/fpb/")
    assert gone.status_code == 404 and "no longer" in gone.json()["detail"]
