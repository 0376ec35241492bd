"""The demonstration: what stands on its boards at once, how far it is, and what the home page shows of it."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import File
from django.test import Client

from evaluation.demonstration.installed_model import HUB_ID
from evaluation.errors import Fault
from evaluation.rules.challenges import CHALLENGES
from leaderboard.reading import snapshots
from portal.accounts.models import User, personal_team
from portal.baselines import queue
from portal.demonstration import progress
from portal.demonstration.contents import FEDAVG, UNTUNED, Kind, Part
from portal.demonstration.progress import Progress, Step, seconds_left
from portal.management import demonstration
from portal.outages.causes import Failure
from portal.runs import claims
from portal.runs import services as runs
from portal.submissions.models import BaseModel, Submission
from tests.portal import baselines, factories

pytestmark = pytest.mark.django_db
FINANCE = CHALLENGES["finance"]
DEMONSTRATION = {"data": "demonstration", "official": False, "unofficial_reasons": ["demonstration data"]}


def steps() -> list[tuple[str, str, bool]]:
    """Of a demonstration of finance alone: what is done, for which method, and whether it is done."""
    return [(step.part.kind, step.part.method, step.is_done) for step in progress.now(["finance"]).steps]


def reference(owner: User, method: str, **changes: Any) -> Submission:
    """An entry of the baselines' as it stands when it may be decided on."""
    values = {"kind": Submission.Kind.REFERENCE, "status": Submission.Status.IN_REVIEW, **changes}
    return Submission.objects.create(
        team=personal_team(owner),
        submitter=owner,
        challenge="finance",
        method=method,
        base_model=factories.base_model(HUB_ID),
        **values,
    )


def test_the_public_boards_rows_come_with_their_source_and_once() -> None:
    demonstration.import_public_board()
    rows = Submission.objects.filter(kind=Submission.Kind.IMPORTED)
    assert rows.filter(challenge="general-nlp").count() == 19
    assert rows.filter(challenge="medical").count() == 16
    assert set(rows.values_list("source_url", flat=True)) == {"https://flower.ai/benchmarks/llm-leaderboard/"}
    demonstration.import_public_board()
    assert rows.count() == 35


def test_rows_of_its_base_model_are_of_the_model_that_is_built_later() -> None:
    demonstration.import_public_board()
    models = BaseModel.objects.filter(hub_id__endswith="SmolLM2-135M-Instruct")
    assert [(model.hub_id, model.active) for model in models] == [(HUB_ID, False)]


def test_what_it_evaluates_never_leads_over_the_public_boards_rows(client: Client, owner: User) -> None:
    demonstration.import_public_board()
    factories.published(owner, challenge="general-nlp", correct=99, method=UNTUNED, scores=DEMONSTRATION)
    leader = snapshots.current("general-nlp").leader
    assert leader and leader.entry.method == "Internlm3-8b-instruct"


def test_its_steps_are_counted_from_the_rows_of_the_site(owner: User) -> None:
    assert [done for _, _, done in steps()] == [False] * 4
    assert progress.now(["finance"]).doing == [f"Building the base model {HUB_ID} from its package"]
    factories.base_model(HUB_ID)
    factories.publish(reference(owner, UNTUNED))
    assert steps() == [
        ("building", "", True),
        ("evaluating", UNTUNED, True),
        ("training", FEDAVG, False),
        ("evaluating", FEDAVG, False),
    ]


def test_what_goes_on_is_told_with_a_benchmarks_title_and_the_round(owner: User) -> None:
    factories.base_model(HUB_ID)
    factories.submission(owner, kind=Submission.Kind.REFERENCE, method=UNTUNED)
    evaluation = runs.claim(worker="test")
    assert evaluation
    claims.renew(evaluation, progress={"phase": "evaluating", "benchmark": "tfns", "done": 3, "total": 12})
    baselines.with_rounds(baselines.run(owner, method=FEDAVG, rounds=3), 1)
    assert progress.now(["finance"]).doing == [
        "Finance: evaluating “Untuned base model” on TFNS",
        "Finance: training “FedAvg baseline”, round 2 of 3, loss 3.00",
    ]


def test_an_evaluation_is_under_way_until_its_end_is_written(owner: User) -> None:
    factories.base_model(HUB_ID)
    factories.submission(owner, kind=Submission.Kind.REFERENCE, method=UNTUNED)
    evaluation = runs.claim(worker="test")
    assert evaluation
    for benchmark in factories.BENCHMARKS:
        runs.record_score(evaluation, factories.score(benchmark), items=File(BytesIO(b"{}\n")))
    claims.renew(evaluation, progress={"phase": "evaluating", "benchmark": "tfns", "done": 12, "total": 12})
    assert ("evaluating", UNTUNED, False) in steps()


def test_it_publishes_where_staff_elsewhere_need_a_second_factor(
    owner: User, settings: Any, tmp_path: Path
) -> None:
    settings.STAFF_SECOND_FACTOR, settings.VAR_DIR = True, tmp_path
    demonstration.prepare_accounts("http://127.0.0.1:8000")
    factories.base_model(HUB_ID)
    made = [reference(owner, method) for method in (UNTUNED, FEDAVG)]
    said: list[str] = []
    ended = demonstration.publish_references(["finance"], said.append, lambda: None)
    assert ended.is_over and not ended.failures
    assert {Submission.objects.get(pk=one.pk).status for one in made} == {"published"}
    assert len(said) == 2


def test_a_run_that_failed_for_good_ends_it_with_the_reason(owner: User) -> None:
    factories.base_model(HUB_ID)
    factories.publish(reference(owner, UNTUNED))
    run = baselines.run(owner, method=FEDAVG)
    assert not progress.now(["finance"]).is_over
    claimed = queue.claim(worker="test")
    assert claimed and claimed.pk == run.pk
    queue.fail_attempt(claimed, Failure("data", "no rows", Fault.INPUT))
    found = progress.now(["finance"])
    assert found.is_over and (found.done, found.total) == (2, 4)
    assert found.failures == ["Finance: training “FedAvg baseline” failed: no rows"]


def test_a_failed_entry_that_is_made_again_is_under_way(owner: User) -> None:
    failed = reference(owner, FEDAVG, status=Submission.Status.FAILED)
    assert not failed.evaluations.exists()
    baselines.run(owner, method=FEDAVG)
    assert [done for _, _, done in steps()] == [True, False, False, False]
    assert not progress.now(["finance"]).failures


PARTS = [Part(kind, 10.0, FINANCE, method) for kind, method in [
    (Kind.EVALUATING, UNTUNED), (Kind.TRAINING, FEDAVG), (Kind.EVALUATING, FEDAVG)
]]  # fmt: skip


@pytest.mark.parametrize(
    ("shares", "pace", "seconds"),
    [
        ((0.0, 0.0, 0.0), 1.0, 20.0),  # evaluated beside the training, and behind it
        ((0.0, 0.0, 0.0), 3.0, 60.0),
        ((0.0, 1.0, 0.0), 1.0, 20.0),  # nothing to wait for, but one at a time
        ((1.0, 0.5, 0.0), 1.0, 15.0),
        ((1.0, 1.0, 1.0), 1.0, 0.0),
    ],
)
def test_the_time_left_is_that_of_one_worker(shares: tuple[float, ...], pace: float, seconds: float) -> None:
    found = [Step(part, share=share) for part, share in zip(PARTS, shares, strict=True)]
    assert seconds_left(found, pace) == seconds


def test_the_time_left_follows_the_pace_of_this_machine() -> None:
    evaluated, trained, compared = PARTS
    fresh = Progress((Step(evaluated), Step(trained), Step(compared)))
    assert fresh.time_left == "about a minute on two free cores"
    slow = Progress((Step(evaluated, share=0.5, seconds=50.0), Step(trained), Step(compared)))
    assert slow.time_left == "about 4 minutes left"  # of 200 seconds


def test_the_home_page_shows_it_until_it_is_over(client: Client, owner: User, settings: Any) -> None:
    settings.DEMONSTRATION = ["finance"]
    factories.base_model(HUB_ID)
    html = client.get("/").content.decode()
    assert 'id="demonstration"' in html and "1 of 4" in html and 'hx-trigger="every 2s"' in html
    factories.publish(reference(owner, UNTUNED))
    factories.publish(reference(owner, FEDAVG))
    assert 'id="demonstration"' not in client.get("/").content.decode()
    last = client.get("/live/").content.decode()
    assert "The demonstration is complete" in last and "hx-trigger" not in last


def test_the_boards_come_along_only_when_they_changed(client: Client, owner: User, settings: Any) -> None:
    settings.DEMONSTRATION = ["finance"]
    first = client.get("/live/").content.decode()
    boards = first.partition("boards=")[2].partition('"')[0]
    assert "home-leaders" in first
    assert "home-leaders" not in client.get(f"/live/?boards={boards}").content.decode()


def test_other_sites_have_none_of_it_and_ask_for_nothing(
    client: Client, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "now", None)  # calling it would fail
    assert "emonstration" not in client.get("/").content.decode()
    assert client.get("/live/").status_code == 404
