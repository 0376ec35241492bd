"""Audits: drawn by a seed that anybody can compute, tried again elsewhere, told on entry and change log."""

from __future__ import annotations

import hashlib
from datetime import date
from io import BytesIO, StringIO
from typing import Any

import numpy as np
import pytest
from django.core.files.base import File
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.utils import timezone

from evaluation import rules
from evaluation.statements.envelope import Envelope
from evaluation.statements.fields import document
from evaluation.statements.statement import AUDIT, Statement
from leaderboard.reading import case_history
from leaderboard.reading.changes import Kind, changes
from portal.accounts.models import User
from portal.review import audits
from portal.review.models import Audit, AuditDraw, Decision
from portal.runs import presence, services
from portal.runs.models import BaselineRun, Evaluation
from portal.submissions.models import Submission
from portal.transparency import checking
from portal.transparency.models import Leaf
from portal.transparency.writing import write_due
from tests.portal import factories

pytestmark = pytest.mark.django_db
ITEMS = 100


def next_month() -> date:
    today = timezone.now().date()
    return date(today.year + today.month // 12, today.month % 12 + 1, 1)


def bits(right: int) -> dict[str, Any]:
    answers = np.arange(ITEMS) < right
    return {
        "correct_bits": np.packbits(answers).tobytes(),
        "scored_bits": np.packbits(np.ones(ITEMS, dtype=bool)).tobytes(),
    }


def run(worker: str, right: int) -> Evaluation:
    """A worker of that machine takes what waits and answers so many right."""
    evaluation = services.claim(worker=worker)
    assert evaluation
    for slug in rules.of(evaluation.submission.challenge, evaluation.protocol).benchmarks:
        scored = factories.score(slug, right, ITEMS, **bits(right))
        services.record_score(evaluation, scored, items=File(BytesIO(b"{}\n")))
    services.succeed(evaluation, provenance={"precision": "fp32"})
    return evaluation


def entry(owner: User, right: int = 70, **changes: Any) -> Submission:
    made = factories.submission(owner, **changes)
    run("first:1", right)
    return factories.publish(made)


@pytest.fixture
def no_retraining(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audits, "_RETRAINED", "")


def test_the_draw_follows_from_what_is_public(client: Client, owner: User, no_retraining: None) -> None:
    for name in ("one", "two", "three"):
        entry(owner, method=name)
    made = audits.draw(next_month())
    assert made and audits.draw(next_month()) is None
    month = f"{made.month:%Y-%m}"
    history = client.get(f"/audits/{made.month.year}-{made.month.month}/history.txt").content
    population = client.get(f"/audits/{made.month.year}-{made.month.month}/population.txt").content.decode()
    head = hashlib.sha256(history).hexdigest()
    seed = hashlib.sha256(f"{month}\n{head}".encode()).hexdigest()
    order = sorted(population.split(), key=lambda n: hashlib.sha256(f"{seed}:{n}".encode()).hexdigest())
    assert (made.head, made.seed) == (head, seed)
    assert [audit.submission_id for audit in made.audits.all()] == [int(order[0])]
    page = client.get("/audits/").content.decode()
    assert seed in page and "Evaluated anew" in page
    with pytest.raises(DatabaseError), transaction.atomic():
        AuditDraw.objects.update(seed="0" * 64)


def test_the_share_is_rounded_up_and_one_at_least() -> None:
    assert len(audits.drawn_of("seed", range(1, 101), 5)) == 5
    assert len(audits.drawn_of("seed", range(1, 102), 5)) == 6
    assert len(audits.drawn_of("seed", [1], 5)) == 1


def test_another_machine_tries_it_again_and_no_board_changes(
    client: Client, owner: User, no_retraining: None
) -> None:
    made = entry(owner, right=70)
    for name in ("first:1", "other:2"):
        presence.beat(name, ())
    audits.draw(next_month())
    assert services.claim(worker="first:9") is None
    assert audits.settle() == 0
    run("other:2", 70)
    assert audits.settle() == 1
    audit = Audit.objects.get()
    assert (audit.outcome, audit.same_machine) == ("same", False)
    html = client.get(f"/entries/{made.pk}/").content.decode()
    assert "every answer was judged the same" in html
    assert [change.kind for change in changes().changes] == [Kind.AUDITED, Kind.PUBLISHED]
    assert "judged the same" in client.get("/changes/?kind=audited").content.decode()
    with pytest.raises(DatabaseError), transaction.atomic():
        Audit.objects.update(outcome="differs")


@pytest.mark.parametrize(("right", "outcome"), [(71, "within"), (20, "differs")])
def test_a_difference_is_told_with_its_interval(
    client: Client, owner: User, no_retraining: None, right: int, outcome: str
) -> None:
    made = entry(owner, right=70)
    audits.draw(next_month())
    run("first:1", right)
    audits.settle()
    audit = Audit.objects.get()
    assert (audit.outcome, audit.same_machine) == (outcome, True)
    html = client.get(f"/entries/{made.pk}/").content.decode()
    assert f"{right - 70:+.2f} points" in html and "no other" in html
    assert "70.00" in client.get("/leaderboard/finance/").content.decode()


def test_an_audit_is_stated_nowhere_as_a_result_of_the_entry(
    client: Client, owner: User, no_retraining: None
) -> None:
    made = entry(owner, right=70)
    original = factories.evaluation_of(made)
    audits.draw(next_month())
    run("first:1", 20)
    audits.settle()
    audit = Audit.objects.get()
    assert audit.evaluation
    write_due()
    assert list(Leaf.objects.exclude(evaluation=None).values_list("evaluation", flat=True)) == [original.pk]
    told = client.get(f"/api/v1/submissions/{made.pk}/").json()
    assert [one["id"] for one in told["evaluations"]] == [original.pk]
    assert client.get(f"/api/v1/evaluations/{original.pk}/").status_code == 200
    assert client.get(f"/api/v1/evaluations/{audit.evaluation.pk}/").status_code == 404
    desk = case_history.history_of(made)
    assert f"Audit's evaluation {audit.evaluation.pk}" in " ".join(one.what for one in desk)


def test_an_outcome_is_stated_in_the_log_and_cannot_be_changed_unseen(
    owner: User, no_retraining: None
) -> None:
    made = entry(owner, right=70)
    original = factories.evaluation_of(made)
    draw = audits.draw(next_month())
    write_due()
    run("first:1", 20)
    audits.settle()
    assert draw and write_due() == 1 and write_due() == 0
    leaf = Leaf.objects.get(audit__isnull=False)
    statement = Statement.read(Envelope.read(document(leaf.body, "leaf")).payload)
    told = statement.predicate
    assert (statement.predicate_type, told["outcome"], told["difference"]) == (AUDIT, "differs", -0.5)
    assert (told["seed"], told["original"]) == (draw.seed, original.pk)
    assert checking.problems() == []
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE review_audit SET outcome = 'within', low = -0.6, high = 0.1")
        cursor.execute("SET LOCAL session_replication_role = origin")
    [problem] = checking.problems()
    assert f"Entry {made.pk}" in problem and "interval95, outcome changed" in problem


def test_a_draw_and_an_evaluation_do_not_hinder_each_other(
    owner: User, reviewer: User, no_retraining: None
) -> None:
    made = entry(owner)
    services.enqueue_all(made)
    assert audits.draw(next_month()) and made.evaluations.filter(status="queued").count() == 2
    factories.review(made, reviewer, Decision.Action.DISQUALIFY, reason="A copy.")
    assert not made.evaluations.filter(status="queued").exists()
    assert audits.settle() == 1


def test_where_the_other_machine_is_gone_any_may_try(owner: User, no_retraining: None) -> None:
    entry(owner)
    for name in ("first:1", "other:2"):
        presence.beat(name, ())
    audits.draw(next_month())
    presence.leave("other:2")
    audits.settle()
    assert Audit.objects.get().same_machine and services.claim(worker="first:1")


def test_some_are_retrained_in_the_name_of_nobody(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audits, "_RETRAINED", "0123456789abcdef")
    made = entry(owner)
    audits.draw(next_month())
    audit = Audit.objects.get()
    trained = BaselineRun.objects.get()
    assert (audit.kind, audit.run, trained.original) == ("retraining", trained, made)
    assert not trained.requested_by.has_usable_password()
    from portal.baselines.services import cancel

    cancel(trained, by=owner)
    audits.settle()
    audit.refresh_from_db()
    assert audit.outcome == "failed" and "no result" in audits.in_words(audit)


def test_nobody_is_taken_for_the_account_of_audits(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audits, "_RETRAINED", "0123456789abcdef")
    factories.user(audits.ACCOUNT)
    entry(owner)
    audits.draw(next_month())
    assert Audit.objects.get().kind == "evaluation" and not BaselineRun.objects.exists()


def test_what_came_later_or_left_is_not_drawn(owner: User, reviewer: User, no_retraining: None) -> None:
    gone = entry(owner, method="gone")
    factories.review(gone, reviewer, Decision.Action.DISQUALIFY, reason="copied")
    month = timezone.now().date().replace(day=1)
    assert audits.draw(month) is None
    assert audits.draw(next_month()) is None


def test_the_command_shows_the_draw(
    owner: User, no_retraining: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = entry(owner)
    month, said = next_month(), StringIO()
    audits.draw(month)
    later = timezone.now().replace(year=timezone.now().year + 1)
    monkeypatch.setattr("portal.management.commands.draw_audit.timezone.now", lambda: later)
    call_command("draw_audit", month=f"{month:%Y-%m}", stdout=said)
    assert "is drawn already" in said.getvalue() and str(made) in said.getvalue()
