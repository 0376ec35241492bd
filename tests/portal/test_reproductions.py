"""Retraining a submission: the paired comparison, its rule, and the mark that it gives."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.db.utils import DatabaseError
from django.utils import timezone

from portal.accounts.models import User
from portal.runs import reproductions
from portal.runs import services as runs
from portal.runs.models import Reproduction
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
