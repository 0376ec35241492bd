"""Studies: a plan becomes runs, runs a table with its interval over seeds, and single places go again."""

from __future__ import annotations

import csv
import io
import json
import tomllib
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from portal.accounts.models import User
from portal.baselines import queue
from portal.baselines import services as single_runs
from portal.baselines.services import reference_team
from portal.baselines.studies import services
from portal.baselines.studies.estimates import estimate
from portal.baselines.studies.exports import FORMATS
from portal.baselines.studies.first_runs import first_entry
from portal.baselines.studies.planning import StudyRefused, on_site
from portal.baselines.studies.table import table_of
from portal.runs.models import BaselineRun, Study
from portal.submissions.models import BaseModel, Submission
from tests.evaluation import adapters
from tests.leaderboard.test_seeds import trained
from tests.portal import baselines, factories

pytestmark = pytest.mark.django_db

PLAN = f"""
title = "Two strategies"
preset = "cpu-one"
base_models = ["{adapters.HUB_ID}"]
challenges = ["finance"]
strategies = ["fedavg", "fedprox"]
adapters = ["lora"]
seeds = [1, 2]
[settings]
target_modules = ["q_proj"]
rank = 4
alpha = 8
"""


@pytest.fixture
def study(reviewer: User) -> Study:
    factories.base_model()
    return services.start(PLAN, requester=reviewer)


def end_next(*, correct: int, published: bool = True) -> BaselineRun:
    """Let the run that is next end with an entry that has so many of 100 right on each benchmark."""
    run = queue.claim(worker="test")
    assert run
    queue.record_setup(run, baselines.ready(40, 30, 20, 10))
    queue.record_round(run, baselines.metric(1))
    config = factories.pyproject(seed=f"train.seed = {run.config['seed']}")
    entry = factories.submission(
        run.requested_by,
        team=reference_team(run.requested_by),
        kind=Submission.Kind.REFERENCE,
        method=run.method,
        files=trained(run.config["seed"], config),
        repeats=first_entry(run),
    )
    queue.succeed(run, entry)
    factories.evaluate(entry, correct=correct, scores=baselines.answers(correct))
    if published:
        factories.publish(entry)
    run.refresh_from_db()
    return run


def test_a_plan_is_queued_seed_by_seed_and_behind_single_runs(study: Study, reviewer: User) -> None:
    places = study.study_runs.order_by("run__queued_at", "run__pk").values_list("cell", "seed")
    assert list(places) == [(1, 1), (2, 1), (1, 2), (2, 2)]
    alone = baselines.run(reviewer)
    assert (claimed := queue.claim(worker="a")) and claimed.pk == alone.pk
    assert (claimed := queue.claim(worker="a")) and claimed.study_run.cell == 1
    services.set_priority(study, 1)
    baselines.run(reviewer)
    assert (claimed := queue.claim(worker="a")) and claimed.study_run.cell == 2


def test_the_seeds_of_a_cell_are_runs_of_one_method_with_an_interval_over_both(
    study: Study, client: Client
) -> None:
    first, _, second, _ = (end_next(correct=correct) for correct in (70, 60, 76, 64))
    assert first.submission and second.submission and second.submission.repeats == first.submission
    result, other = table_of(study, sees_all=False).cells
    assert result.score and other.score
    assert result.score.value == pytest.approx(0.73)
    assert (result.score.seeds, result.best, other.best) == (2, True, False)
    assert result.score.spread == pytest.approx(0.06 / 2**0.5)
    low, high = result.score.interval
    assert high - low > 0.1
    page = client.get(study.get_absolute_url()).content.decode()
    assert "<strong>73.00</strong>" in page and ">62.00<" in page and "study-bar" in page
    assert "hx-get" not in page.partition('id="study"')[2].partition(">")[0]


@pytest.mark.parametrize(("other", "is_level"), [(69, True), (50, False)])
def test_what_cannot_be_told_from_the_best_is_marked(
    other: int, is_level: bool, reviewer: User, client: Client
) -> None:
    factories.base_model()
    study = services.start(PLAN.replace("[1, 2]", "[1]"), requester=reviewer)
    for correct in (70, other):
        end_next(correct=correct)
    best, second = table_of(study, sees_all=False).cells
    assert (best.best, best.is_level, second.best, second.is_level) == (True, None, False, is_level)
    page = client.get(study.get_absolute_url()).content.decode().partition("<tbody>")[2]
    assert ("†" in page) == is_level
    told = client.get(f"/api/v1/studies/{study.pk}/").json()["cells"][1]
    assert told["level_with_best"] is is_level
    dagger = r"69.00$^\dagger$"
    assert (dagger in FORMATS["tex"].write(table_of(study, sees_all=False))) == is_level


def test_scores_in_review_are_for_staff(study: Study) -> None:
    end_next(correct=70, published=False)
    public, internal = (table_of(study, sees_all=sees_all).cells[0] for sees_all in (False, True))
    assert public.score is None and public.runs[0].words == "in review"
    assert internal.score and internal.score.value == pytest.approx(0.7) and internal.score.spread is None


def test_a_failed_place_runs_again_alone(study: Study, reviewer: User) -> None:
    for run in BaselineRun.objects.filter(study_run__cell=2):
        single_runs.cancel(run, by=reviewer)
    assert services.run_again(study, requester=reviewer, cell=1) == 0
    assert services.run_again(study, requester=reviewer, cell=2) == 2
    assert services.run_again(study, requester=reviewer, cell=2) == 0
    assert table_of(study, sees_all=True).cells[1].state == "2 waiting"
    assert services.stop(study, by=reviewer) == 4
    with pytest.raises(StudyRefused, match="no cell 9"):
        services.run_again(study, requester=reviewer, cell=9)


def test_exports_hold_the_plan_and_every_run(study: Study) -> None:
    end_next(correct=70)
    table = table_of(study, sees_all=False)
    rows = list(csv.DictReader(io.StringIO(FORMATS["csv"].write(table))))
    assert [row["stage"] for row in rows] == ["scored", "waiting", "waiting", "waiting"]
    assert rows[0]["fpb"] == "0.7" and rows[0]["seed"] == "1"
    assert (rows[0]["rows"], rows[1]["rows"], rows[1]["fpb"]) == ("official", "", "")
    whole = json.loads(FORMATS["json"].write(table))
    assert tomllib.loads(whole["plan"])["seeds"] == [1, 2]
    assert whole["cells"][0]["score"]["seeds"] == 1
    latex = FORMATS["tex"].write(table)
    assert r"& FedAvg & 70.00 {\scriptsize $\pm$" in latex and "& FedProx & --" in latex
    assert FORMATS["toml"].write(table) == PLAN


def test_everybody_reads_a_study_by_page_file_and_api(study: Study, client: Client) -> None:
    end_next(correct=70)
    listed = client.get("/studies/").content.decode()
    assert "Two strategies" in listed and "1 of 4" in listed
    file = client.get(f"/studies/{study.pk}/study.csv")
    assert file.headers["Content-Disposition"].endswith(f'"study-{study.pk}.csv"')
    assert client.get(f"/studies/{study.pk}/study.xls").status_code == 404
    assert client.get("/api/v1/studies/").json()["results"][0]["title"] == "Two strategies"
    told = client.get(f"/api/v1/studies/{study.pk}/").json()
    assert told["runs"] == 4 and told["cells"][1]["strategy"] == "fedprox"
    assert told["runs_by_stage"] == {"scored": 1, "waiting": 3}
    assert client.post(f"/studies/{study.pk}/stop/").status_code == 302
    assert BaselineRun.objects.filter(status="cancelled").count() == 0


def test_rates_measured_here_say_what_a_study_takes(study: Study) -> None:
    planned = on_site(PLAN)
    assert estimate(planned).training is None
    end_next(correct=70)
    run = BaselineRun.objects.get(status="succeeded")
    told = estimate(planned)
    assert told.runs == 4 and told.training and told.evaluation and told.communication
    # One run of one round of 2.5 seconds; a plan's run has two rounds, and one run alone says half to double.
    assert run.rounds == 2
    assert (told.training.low, told.training.high) == pytest.approx((4 * 5 / 2, 4 * 5 * 2))
    assert told.gpu is None and any("GPU hours are not known" in line for line in told.basis)
    assert not any("No run in" in line for line in told.basis)
    elsewhere = PLAN.replace('["finance"]', '["medical"]') + 'precision = "fp4"\n'
    lines = " ".join(estimate(on_site(elsewhere)).basis)
    assert "No run in fp4 was measured: the rates are of fp32" in lines
    assert "The time of evaluating is not known: Medical is new here" in lines


@pytest.mark.parametrize(
    ("plan", "problem"),
    [
        ('title = "x"', "base_models must be a list"),
        (PLAN.replace('"fedprox"', '"fedprx"'), "fedprox"),
        (PLAN.replace(adapters.HUB_ID, "nobody/nothing"), "not on the list of base models"),
        (PLAN + "seed = 3\n", "settings.seed is decided by the plan's lists"),
        (PLAN.replace("alpha = 8", "rank_alpha = 8"), "rank_alpha is no setting"),
        (PLAN.replace("rank = 4", "rank = 0"), "cell 1"),
        (PLAN + "rounds = 99999999999999999999\n", "cell 1"),
        (PLAN.replace("]\nchallenges", f', "{adapters.HUB_ID.lower()}"]\nchallenges'), "the same base model"),
    ],
)
def test_a_plan_that_cannot_work_starts_nothing(reviewer: User, plan: str, problem: str) -> None:
    factories.base_model()
    with pytest.raises(StudyRefused) as refusal:
        services.start(plan, requester=reviewer)
    assert problem in str(refusal.value)
    assert not Study.objects.exists() and not BaselineRun.objects.exists()


def test_a_study_is_made_on_a_page(client: Client, reviewer: User) -> None:
    base_model = factories.base_model()
    client.force_login(reviewer)
    assert b"google/gemma-2-9b" in client.get("/studies/new/?plan=paper").content
    chosen: dict[str, Any] = {
        "title": "From a page",
        "preset": "cpu-one",
        "base_models": [base_model.hub_id],
        "challenges": ["finance"],
        "strategies": ["fedavg"],
        "adapters": ["lora"],
        "seeds": "1, 2",
        "partitions": "iid\ndirichlet 0.5 output\nlabel 2 output",
        "settings": 'target_modules = ["q_proj"]\nrank = 4\nalpha = 8',
        "priority": "0",
    }
    told = client.post("/studies/new/", chosen | {"action": "check"}).content.decode()
    assert "6 in 3 cells" in told and not Study.objects.exists()
    client.post("/studies/new/", chosen | {"action": "start"})
    study = Study.objects.get()
    assert study.study_runs.count() == 6
    for partition in ("dirichlet 0.5 output", "label 2 output"):
        assert BaselineRun.objects.filter(method=f"FedAvg baseline, {partition}").count() == 2
    assert BaselineRun.objects.latest("pk").config["partition"]["labels"] == 2
    refused = client.post("/studies/new/", chosen | {"seeds": "", "action": "start"})
    assert refused.status_code == 422 and b"Seeds must be a list" in refused.content


def test_published_figures_stand_beside_the_study(study: Study, client: Client) -> None:
    from decimal import Decimal

    from portal.intake.board_import import BoardRow, DeclaredScore, import_rows

    name = BaseModel.objects.get().name
    scores = tuple(DeclaredScore(slug, Decimal("60.00")) for slug in factories.BENCHMARKS)
    import_rows([BoardRow(1, "finance", "Others", name, None, scores, None)])
    end_next(correct=70)
    page = client.get(study.get_absolute_url()).content.decode()
    beside = page.partition('id="published"')[2]
    assert "Others" in beside and "60.00" in beside and "+10.0" in beside


def test_the_command_plans_starts_and_tells(
    reviewer: User, stranger: User, tmp_path: Any, capsys: Any
) -> None:
    factories.base_model()
    file = tmp_path / "plan.toml"
    file.write_text(PLAN, encoding="utf-8")
    call_command("study", "plan", str(file))
    assert "runs            4 (2 cells)" in capsys.readouterr().out
    with pytest.raises(CommandError, match="may start training runs"):
        call_command("study", "start", str(file), "--user", stranger.username)
    call_command("study", "start", str(file), "--user", reviewer.username)
    study = Study.objects.get()
    call_command("study", "status", str(study.pk))
    assert "2 waiting" in capsys.readouterr().out
    call_command("study", "export", str(study.pk), "--format", "json")
    assert json.loads(capsys.readouterr().out)["runs"] == 4


def test_a_run_that_an_operator_requeues_keeps_its_place(study: Study, reviewer: User) -> None:
    run = BaselineRun.objects.filter(study_run__cell=1).earliest("pk")
    single_runs.cancel(run, by=reviewer)
    run.refresh_from_db()
    single_runs.again(run)
    assert table_of(study, sees_all=True).cells[0].state == "2 waiting"
