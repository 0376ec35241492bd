"""Retraining a submission: the paired comparison, its rule, and the mark that it gives."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from typing import Any

import pgtrigger
import pytest
from django.apps import apps
from django.db import transaction
from django.db.utils import DatabaseError
from django.test import Client
from django.utils import timezone

from evaluation.federated.config import Partition
from evaluation.method import agreement
from portal.accounts.models import User
from portal.runs import reproductions
from portal.runs import services as runs
from portal.runs.models import BaselineRun, Reproduction
from portal.submissions.models import Submission
from tests import second_protocol
from tests.portal import baselines, factories
from tests.portal.baselines import original_with, retrained_with

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("retrained", "outcome"), [(70, "reproduced"), (69, "reproduced"), (50, "not_reproduced")]
)
def test_the_outcome_follows_from_the_paired_difference(
    owner: User, reviewer: User, retrained: int, outcome: str
) -> None:
    run = retrained_with(reviewer, original_with(owner, 70), retrained)
    found = Reproduction.objects.get(run=run)
    assert found.outcome == outcome
    assert found.difference == pytest.approx((retrained - 70) / 100)
    assert found.low <= found.difference <= found.high
    assert [line["benchmark"] for line in found.benchmarks] == list(factories.BENCHMARKS)
    assert found.benchmarks[0]["items"] == 100


@pytest.mark.parametrize(
    ("difference", "low", "high", "same"),
    [
        (0.05, -0.01, 0.11, True),
        (0.01, 0.005, 0.02, True),
        (0.03, 0.01, 0.05, False),
        (-0.2, -0.3, -0.1, False),
    ],
)
def test_the_rule(difference: float, low: float, high: float, same: bool) -> None:
    assert (reproductions.outcome_of(difference, low, high) == "reproduced") is same


@pytest.mark.parametrize(
    ("original", "retrained", "sentence"),
    [
        ({"template": ""}, {}, "Template of the rows: not stated."),
        (
            {},
            {"template": 'train.template = "fingpt"'},
            "Template of the rows: alpaca in the original, fingpt here.",
        ),
        ({}, {"steps": "train.max-steps = 20"}, "Local steps: 10 in the original, 20 here."),
        (
            {},
            {"more": "train.learn-end-token = true"},
            "Learning of the end token: no in the original, yes here.",
        ),
        (
            {},
            {"more": 'train.data-name = "demonstration/train/finance.jsonl"'},
            "Training rows: flwrlabs/fingpt-sentiment-train in the original, "
            "demonstration/train/finance.jsonl here.",
        ),
        (
            {"more": "strategy.proximal-mu = 0.1"},
            {"more": "strategy.proximal-mu = 1.0"},
            "Option proximal_mu: 0.1 in the original, 1 here.",
        ),
    ],
)
def test_another_result_by_settings_that_are_not_stated_or_equal_cannot_be_judged(
    owner: User, reviewer: User, original: dict[str, str], retrained: dict[str, str], sentence: str
) -> None:
    run = retrained_with(reviewer, original_with(owner, 70, **original), 50, 100, None, **retrained)
    found = Reproduction.objects.get(run=run)
    assert (found.get_outcome_display(), found.unequal) == ("cannot be judged", [sentence])
    factories.publish(found.retrained)
    reproductions.judge(found, judge=reviewer, verdict=Reproduction.Verdict.CONFIRMED)
    assert reproductions.mark_of(found.original) is None


def test_other_shares_of_the_rows_than_the_rules_have_cannot_be_judged(owner: User, reviewer: User) -> None:
    settings = {"partition": Partition("dirichlet", 0.5, "output"), "held_out": 8, "evaluate_every": 1}
    run = retrained_with(reviewer, original_with(owner, 70), 50, settings=settings)
    assert Reproduction.objects.get(run=run).unequal == [
        "Shares of the rows: iid in the original, dirichlet, alpha 0.5, column output, 8 held out here."
    ]


def test_what_an_adapter_alone_says_of_its_scale_and_modules_is_compared() -> None:
    plain = {"r": 4, "lora_alpha": 8, "use_rslora": False, "target_modules": ["0.q_proj", "1.q_proj"]}
    assert agreement.unequal_adapters(plain, plain | {"rank_pattern": {}}) == ()
    other = plain | {"use_rslora": True, "target_modules": ["1.q_proj"], "alpha_pattern": {"1.q_proj": 16}}
    assert agreement.unequal_adapters(other, plain) == (
        "Rank-stabilised scale: yes in the original, no here.",
        "Modules with an alpha of their own: 1 in the original, none here.",
        "Adapted modules: 1 in the original, 2 here.",
    )


def test_a_retraining_from_before_templates_is_not_compared_any_more(owner: User, reviewer: User) -> None:
    original = original_with(owner, 70)
    with pgtrigger.ignore("runs.BaselineRun:baselinerun_identity"):
        run = baselines.run(reviewer, original=original)
        run.config = {name: value for name, value in run.config.items() if name != "template"}
        run.save(update_fields=["config"])
    assert "Retrain the submission again" in reproductions.why_incomparable(run)


def test_kinds_of_saying_the_same_are_equal(owner: User, reviewer: User) -> None:
    original = original_with(
        owner, 70, quantization='model.quantization = "fp4"',
        more='train.training-arguments.optim = "adamw_hf"',
        static='[tool.flwr.app.config.static]\ndataset.name = "FinGPT/fingpt-sentiment-train"',
    )  # fmt: skip
    fetched = f'train.data-name = "flwrlabs/fingpt-sentiment-train@{"0" * 40}"'
    found = Reproduction.objects.get(run=retrained_with(reviewer, original, 50, more=fetched))
    assert (found.outcome, found.unequal) == ("not_reproduced", [])


def test_verdicts_on_runs_from_before_templates_are_withdrawn_and_say_why(
    client: Client, owner: User, reviewer: User
) -> None:
    original = original_with(owner, 70)
    old, new = (Reproduction.objects.get(run=retrained_with(reviewer, original, 50)) for _ in range(2))
    for found in (old, new):
        factories.publish(found.retrained)
        reproductions.judge(found, judge=reviewer, verdict=Reproduction.Verdict.CONFIRMED)
    with pgtrigger.ignore("runs.BaselineRun:baselinerun_identity", "runs.BaselineRun:baselinerun_final"):
        config = {name: value for name, value in old.run.config.items() if name != "template"}
        BaselineRun.objects.filter(pk=old.run_id).update(config=config)
    migration = import_module("portal.runs.migrations.0004_withdraw_verdicts_of_another_template")
    migration.withdraw(apps, None)
    migration.describe(apps, None)
    old.refresh_from_db()
    new.refresh_from_db()
    assert (old.verdict, old.judged_by, new.verdict) == ("withdrawn", reviewer, "confirmed")
    mark = reproductions.mark_of(original)
    assert mark and mark.retrained == new.retrained_id
    with pytest.raises(reproductions.VerdictRefused, match="withdrawn for good"):
        reproductions.judge(old, judge=reviewer, verdict=Reproduction.Verdict.CONFIRMED)
    page = client.get(f"/baselines/runs/{old.run_id}/").content.decode()
    assert "Withdrawn:" in page and "it was another method than the original" in page
    card = Submission.objects.get(pk=old.retrained_id).method_card
    assert card and (card["template"], card["training_rows"]) == ("fingpt", "demonstration/finance.jsonl")


def test_the_mark_is_there_once_staff_confirmed_and_gone_once_they_set_it_aside(
    owner: User, reviewer: User
) -> None:
    original = original_with(owner, 70)
    run = retrained_with(reviewer, original, 50)
    found = Reproduction.objects.get(run=run)
    assert reproductions.mark_of(original) is None
    with pytest.raises(reproductions.VerdictRefused, match="Publish the retrained entry first"):
        reproductions.judge(found, judge=reviewer, verdict=Reproduction.Verdict.CONFIRMED)
    factories.publish(found.retrained)
    reproductions.judge(found, judge=reviewer, verdict=Reproduction.Verdict.CONFIRMED)
    mark = reproductions.mark_of(original)
    assert mark and (mark.outcome, mark.retrained) == ("not reproduced", run.submission_id)
    assert mark.difference == pytest.approx(-0.2)
    assert reproductions.marks_of([original.pk], as_of=timezone.now() - timedelta(days=1)) == {}
    reproductions.judge(found, judge=reviewer, verdict=Reproduction.Verdict.SET_ASIDE, reason="Other rows.")
    assert reproductions.mark_of(original) is None


def test_a_verdict_is_given_once_and_setting_aside_needs_a_reason(owner: User, reviewer: User) -> None:
    found = Reproduction.objects.get(run=retrained_with(reviewer, original_with(owner, 70), 70))
    factories.publish(found.retrained)
    confirmed = Reproduction.Verdict.CONFIRMED
    with pytest.raises(reproductions.VerdictRefused, match="reason"):
        reproductions.judge(found, judge=reviewer, verdict=Reproduction.Verdict.SET_ASIDE, reason="  ")
    reproductions.judge(found, judge=reviewer, verdict=confirmed)
    with pytest.raises(reproductions.VerdictRefused, match="already"):
        reproductions.judge(found, judge=reviewer, verdict=confirmed)


def test_the_figures_of_a_comparison_never_change(owner: User, reviewer: User) -> None:
    found = Reproduction.objects.get(run=retrained_with(reviewer, original_with(owner, 70), 50))
    with pytest.raises(DatabaseError, match=r"Cannot|only while"), transaction.atomic():
        Reproduction.objects.filter(pk=found.pk).update(outcome="reproduced")
    with pytest.raises(DatabaseError, match=r"Cannot|only while"), transaction.atomic():
        found.delete()


def test_what_was_evaluated_on_other_items_is_not_compared_and_says_why(owner: User, reviewer: User) -> None:
    run = retrained_with(reviewer, original_with(owner, 70), 35, n=50)
    assert not Reproduction.objects.exists()
    assert "different data of" in reproductions.why_incomparable(run)


def test_an_original_that_is_evaluated_again_is_compared_then(owner: User, reviewer: User) -> None:
    original = factories.evaluated(owner)  # without the single answers
    run = retrained_with(reviewer, original, 70)
    assert "single answers" in reproductions.why_incomparable(run)
    runs.enqueue(original, 1)
    factories.evaluate(original, correct=70, scores=baselines.answers(70))
    assert Reproduction.objects.get(run=run).outcome == "reproduced"


def test_both_are_compared_under_a_protocol_that_both_have(
    owner: User, reviewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    second_protocol.register(monkeypatch)
    original = original_with(owner, 70)
    factories.evaluate_again(original, correct=40, protocol=2)
    run = retrained_with(reviewer, original, 70)
    found = Reproduction.objects.get(run=run)
    assert found.difference == 0 and len(found.benchmarks) == 3
    assert found.original_evaluation.protocol == found.retrained_evaluation.protocol == 1


def test_without_a_common_protocol_there_is_no_comparison(
    owner: User, reviewer: User, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    second_protocol.register(monkeypatch)
    original = original_with(owner, 70)
    settings.LEADERBOARD_PROTOCOLS = (2,)
    run = retrained_with(reviewer, original, 70)
    assert "under protocol 1, the retrained checkpoint under protocol 2" in reproductions.why_incomparable(
        run
    )
