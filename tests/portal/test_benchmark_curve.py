"""The adapters that a run keeps on its way: stored, evaluated beside the board, and shown as a curve."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from evaluation.errors import Fault
from portal.accounts.models import User
from portal.baselines import kept_rounds, queue, results
from portal.baselines.benchmark_curve import curve_of
from portal.intake.queue_page import places_of
from portal.intake.services import withdraw
from portal.outages.causes import Failure
from portal.runs import services as runs
from portal.runs.models import BaselineRun, Evaluation
from portal.submissions.models import Checkpoint, Submission
from tests.portal import baselines, factories
from tests.portal.test_baseline_pages import form_values
from tests.portal.transfers import measure, measure_all

pytestmark = pytest.mark.django_db

RIGHT = {2: 40, 4: 60}
A_ROUND = 2000


def result(folder: Path, *kept: int, damaged: int = 0) -> Path:
    """A run's output with adapters of these rounds besides its own."""
    folders = {0: folder, **{number: folder / "rounds" / str(number) for number in kept}}
    for number, each in folders.items():
        each.mkdir(parents=True)
        content = factories.adapter_bytes(number)
        (each / "adapter_model.safetensors").write_bytes(
            content[:-4] if number and number == damaged else content
        )
        (each / "adapter_config.json").write_bytes(factories.config_bytes())
    (folder / "pyproject.toml").write_bytes(factories.PYPROJECT)
    (folder / "training.json").write_text(json.dumps(baselines.RECORD))
    return folder


def trained(staff: User, folder: Path, *kept: int, damaged: int = 0, **changes: Any) -> BaselineRun:
    """A run of five rounds that kept every second adapter, its result submitted."""
    run = baselines.run(staff, **{"rounds": 5, "keep_every": 2, **changes})
    claimed = baselines.with_rounds(run, 5)
    results.submit_result(claimed, result(folder, *(kept or (2, 4)), damaged=damaged))
    run.refresh_from_db()
    return run


def evaluated(run: BaselineRun) -> None:
    """Everything that waits, the result's with 70 of 100 right."""
    measure_all(lambda one: RIGHT.get(one.round, 70))


def entry_of(run: BaselineRun) -> Submission:
    assert run.submission
    return Submission.objects.get(pk=run.submission.pk)


def of_rounds(run: BaselineRun) -> list[Evaluation]:
    assert run.submission
    return kept_rounds.newest(run.submission)


def test_kept_adapters_are_stored_by_their_content_and_wait_behind_all_boards(
    reviewer: User, tmp_path: Path
) -> None:
    run = trained(reviewer, tmp_path / "out")
    two, four = of_rounds(run)
    assert [(one.round, one.priority, one.purpose) for one in (two, four)] == [
        (2, -1, "round"),
        (4, -1, "round"),
    ]
    assert two.checkpoint and two.checkpoint.file.name
    assert two.checkpoint.file.name.startswith(f"checkpoints/{two.checkpoint.sha256[:2]}/")
    assert Checkpoint.objects.count() == 3
    assert run.submission
    assert places_of([run.submission])[run.submission.pk].startswith("number 1,")
    first = runs.claim(worker="test")
    assert first and (first.purpose, first.round) == ("board", 0)


def test_their_scores_are_a_curve_and_nothing_of_the_entry_s(reviewer: User, tmp_path: Path) -> None:
    run = trained(reviewer, tmp_path / "out")
    evaluated(run)
    entry = entry_of(run)
    assert entry.status == "in_review"
    assert [one.status for one in of_rounds(run)] == ["measured", "measured"]
    curve = curve_of(run, sees_all=True)
    assert curve
    assert [(row.spent.round, row.spent.bytes) for row in curve.rows] == [
        (2, 2 * A_ROUND),
        (4, 4 * A_ROUND),
        (5, 5 * A_ROUND),
    ]
    assert [row.score for row in curve.rows] == pytest.approx([0.4, 0.6, 0.7])
    hidden = curve_of(run, sees_all=False)
    assert hidden and {row.state for row in hidden.rows} == {"hidden"} and not hidden.points
    factories.publish(entry)
    public = curve_of(BaselineRun.objects.get(pk=run.pk), sees_all=False)
    assert public and len(public.points) == 3
    board = runs.of_present_adapter(entry)
    assert {one.purpose for one in board} == {"board"} and board.count() == 1


def test_the_page_says_the_best_within_a_budget_and_what_a_score_took(
    client: Client, reviewer: User, tmp_path: Path
) -> None:
    run = trained(reviewer, tmp_path / "out")
    evaluated(run)
    factories.publish(entry_of(run))
    address = f"/baselines/runs/{run.pk}/"
    page = client.get(f"{address}?within={4.5 * A_ROUND / 1024**3:.9f}&reach=50").content.decode()
    assert "<strong>60.00%</strong> after round 4" in page
    assert "by the end of round 4 with 60.00%" in page and "joules not measured" in page
    assert page.count("Score by ") == 4  # two pictures, each with its label
    page = client.get(f"{address}?within=0&reach=99").content.decode()
    assert "no adapter that was kept and evaluated cost so little" in page
    assert "not reached by an adapter" in page
    for wrong in ("within=nan", "within=-1", "reach=101", "reach=inf", "within=x"):
        page = client.get(f"{address}?{wrong}").content.decode()
        assert "errorlist" in page and "after round" not in page
    rows = client.get(f"/api/v1/baseline-runs/{run.pk}/").json()["benchmark_curve"]["rows"]
    assert (rows[0]["round"], rows[0]["state"]) == (2, "scored")
    assert rows[0]["score_low"] < rows[0]["score"] < rows[0]["score_high"]
    lines = client.get(f"{address}curve.csv").content.decode().splitlines()
    assert lines[0].startswith("round,state,score,score_low") and lines[3].startswith("5,scored,0.")


def test_a_run_says_what_is_not_there_yet(client: Client, reviewer: User, tmp_path: Path) -> None:
    plain = baselines.run(reviewer)
    assert "Scores on the way" not in client.get(f"/baselines/runs/{plain.pk}/").content.decode()
    assert client.get(f"/baselines/runs/{plain.pk}/curve.csv").status_code == 404
    assert client.get(f"/api/v1/baseline-runs/{plain.pk}/").json()["benchmark_curve"] is None
    queue.claim(worker="test")
    run = trained(reviewer, tmp_path / "out")
    page = client.get(f"/baselines/runs/{run.pk}/").content.decode()
    assert "3 of 3 wait for an evaluation or are in one" in page
    waiting = baselines.run(reviewer, keep_every=1)
    assert "Adapters are kept on the way" in client.get(f"/baselines/runs/{waiting.pk}/").content.decode()


def test_an_adapter_that_cannot_be_evaluated_costs_only_its_own_score(reviewer: User, tmp_path: Path) -> None:
    run = trained(reviewer, tmp_path / "out", 2, 4, damaged=2)
    assert run.status == "succeeded" and [one.round for one in of_rounds(run)] == [4]
    curve = curve_of(run, sees_all=True)
    assert curve and [row.state for row in curve.rows] == ["missing", "waiting", "waiting"]


def test_staff_cancel_what_waits_and_have_it_evaluated_later(
    as_reviewer: Client, reviewer: User, tmp_path: Path
) -> None:
    run = trained(reviewer, tmp_path / "out")
    address = f"/baselines/runs/{run.pk}/"
    board = runs.claim(worker="test")
    assert board
    measure(board, 70)
    failing = runs.claim(worker="test")
    assert failing and failing.round == 2
    runs.fail_attempt(failing, Failure("model_error", "it does not load", Fault.INPUT))
    assert "its evaluation failed" in as_reviewer.get(address).content.decode()
    as_reviewer.post(f"{address}kept/", {"action": "cancel"})
    assert [one.status for one in of_rounds(run)] == ["failed", "cancelled"]
    page = as_reviewer.post(f"{address}kept/", {"action": "cancel"}, follow=True).content.decode()
    assert "None of its kept adapters waits" in page and "Evaluate what is not" in page
    as_reviewer.post(f"{address}kept/")
    assert [one.status for one in of_rounds(run)] == ["queued", "queued"]
    evaluated(run)
    with pytest.raises(kept_rounds.KeptRoundsRefused, match="is evaluated, or that is under way"):
        kept_rounds.ask(run)
    curve = curve_of(run, sees_all=True)
    assert curve and len(curve.points) == 3


def test_strangers_neither_cancel_nor_ask(as_owner: Client, reviewer: User, tmp_path: Path) -> None:
    run = trained(reviewer, tmp_path / "out")
    assert as_owner.post(f"/baselines/runs/{run.pk}/kept/", {"action": "cancel"}).status_code == 403
    assert all(one.is_active for one in of_rounds(run))


def test_a_withdrawn_entry_s_adapters_are_not_evaluated(reviewer: User, tmp_path: Path) -> None:
    run = trained(reviewer, tmp_path / "out")
    entry = entry_of(run)
    withdraw(entry)
    assert [one.status for one in of_rounds(run)] == ["cancelled", "cancelled"]
    with pytest.raises(kept_rounds.KeptRoundsRefused, match="withdrawn"):
        kept_rounds.ask(run)


def test_the_form_says_what_keeping_costs_before_the_run(as_reviewer: Client) -> None:
    page = as_reviewer.post("/baselines/runs/new/plan/", form_values(rounds=5, keep_every=2)).content.decode()
    assert "2 adapters" in page and "to store, each evaluated after the run" in page
    page = as_reviewer.post("/baselines/runs/new/plan/", form_values(rounds=2, keep_every=5)).content.decode()
    assert "keeps nothing in 2 rounds but the result" in page and "to store" not in page
    as_reviewer.post("/baselines/runs/new/", form_values(rounds=5, keep_every=2))
    assert BaselineRun.objects.get().config["keep_every"] == 2


def test_the_api_cancels_and_asks_again_as_the_page_does(
    as_reviewer: Client, client: Client, reviewer: User, tmp_path: Path
) -> None:
    run = trained(reviewer, tmp_path / "out")
    address = f"/api/v1/baseline-runs/{run.pk}/kept-rounds/"
    assert Client().post(f"{address}cancel/").status_code in (401, 403)
    assert as_reviewer.post(address).status_code == 409
    rows = as_reviewer.post(f"{address}cancel/").json()["benchmark_curve"]["rows"]
    assert [row["state"] for row in rows] == ["cancelled", "cancelled", "waiting"]
    assert as_reviewer.post(f"{address}cancel/").status_code == 409
    rows = as_reviewer.post(address).json()["benchmark_curve"]["rows"]
    assert [row["state"] for row in rows] == ["waiting"] * 3
