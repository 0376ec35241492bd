"""The life of an evaluation in the database: claims, leases, retries, and what the database refuses."""

from __future__ import annotations

import threading
from datetime import timedelta
from importlib import import_module
from io import BytesIO
from typing import Any

import pgtrigger
import pytest
from django.apps import apps
from django.core.files.base import ContentFile, File
from django.core.files.storage import default_storage
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone

from evaluation.errors import Fault, UnknownNameError
from leaderboard.reading import snapshots
from portal.accounts.models import User
from portal.intake.progress import progress_of
from portal.intake.services import TransitionRefused
from portal.outages.causes import Failure
from portal.review.models import Decision
from portal.runs import claims, fairness, presence
from portal.runs import services as runs
from portal.runs.models import Evaluation, Score
from portal.submissions.models import Submission
from tests import second_protocol
from tests.portal import factories


def items() -> File:
    return File(BytesIO(b"{}\n"))


def lose_the_lease(evaluation: Evaluation) -> None:
    Evaluation.objects.filter(pk=evaluation.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))


@pytest.mark.django_db
class TestClaiming:
    def test_the_oldest_goes_first_and_each_only_once(self, owner: User) -> None:
        first, second = factories.submission(owner), factories.submission(owner, method="second")
        claimed = [runs.claim(worker="a"), runs.claim(worker="b"), runs.claim(worker="c")]
        assert [e and e.submission_id for e in claimed] == [first.pk, second.pk, None]

    def test_a_priority_goes_before_age(self, owner: User) -> None:
        factories.submission(owner)
        urgent = factories.submission(owner, method="urgent")
        Evaluation.objects.filter(submission=urgent).update(priority=1)
        claimed = runs.claim(worker="a")
        assert claimed and claimed.submission_id == urgent.pk

    def test_the_loaded_base_model_goes_first_but_starves_nobody(self, owner: User) -> None:
        old = factories.submission(owner)
        other = factories.base_model("Example/Other")
        warm = factories.submission(owner, base_model=other, files=None, kind="reference", method="warm")
        claimed = runs.claim(worker="a", loaded_base_model=other.pk)
        assert claimed and claimed.submission_id == warm.pk
        runs.give_back(claimed)
        Evaluation.objects.filter(submission=old).update(queued_at=timezone.now() - 2 * fairness.OVERDUE)
        claimed = runs.claim(worker="a", loaded_base_model=other.pk)
        assert claimed and claimed.submission_id == old.pk

    def test_a_worker_leaves_challenges_that_it_cannot_evaluate(self, owner: User) -> None:
        code = factories.submission(owner, challenge="code")
        finance = factories.submission(owner, method="second")
        left = [runs.LeftToOthers("code", 1, "a worker that can run generated programs")]
        presence.beat("a", left)
        claimed = runs.claim(worker="a", without=left)
        assert claimed and claimed.submission_id == finance.pk
        assert runs.claim(worker="a", without=left) is None
        runs.say_what_waits(left)
        told = progress_of(factories.evaluation_of(code))
        assert told and told.phase == "waiting for a worker that can run generated programs"
        claimed = runs.claim(worker="b")
        assert claimed and claimed.submission_id == code.pk

    def test_a_worker_leaves_base_models_that_are_too_large_for_it(self, owner: User) -> None:
        made = factories.submission(owner)
        size = made.base_model.parameters
        assert (
            size and runs.claim(worker="a", without=[runs.LeftToOthers("finance", 1, "", size - 1)]) is None
        )
        assert runs.claim(worker="a", without=[runs.LeftToOthers("finance", 1, "", size)])

    def test_evaluations_under_an_unknown_protocol_wait_for_a_newer_worker(self, owner: User) -> None:
        made = factories.submission(owner)
        Evaluation.objects.filter(submission=made).update(protocol=9)
        assert runs.claim(worker="a") is None

    def test_the_submission_follows(self, owner: User) -> None:
        made = factories.submission(owner)
        claimed = runs.claim(worker="a")
        assert claimed
        made.refresh_from_db()
        assert made.status == "evaluating"
        runs.give_back(claimed)
        made.refresh_from_db()
        assert made.status == "queued" and factories.evaluation_of(made).attempts == 0


@pytest.mark.django_db
class TestALostClaim:
    def test_every_write_is_refused_after_another_worker_took_over(self, owner: User) -> None:
        factories.submission(owner)
        stale = runs.claim(worker="stale")
        assert stale
        lose_the_lease(stale)
        assert runs.release_expired() == 1
        fresh = runs.claim(worker="fresh")
        assert fresh and fresh.pk == stale.pk and fresh.attempts == 1
        for write in (
            lambda: claims.renew(stale),
            lambda: runs.record_score(stale, factories.score("fpb"), items=items()),
            lambda: runs.succeed(stale, provenance={}),
            lambda: runs.fail_attempt(stale, Failure("x", "x", Fault.INPUT)),
            lambda: runs.give_back(stale),
        ):
            with pytest.raises(claims.ClaimLostError):
                write()
        claims.renew(fresh, progress={"phase": "evaluating"})
        assert not Score.objects.exists()

    def test_a_lease_in_force_is_left_alone(self, owner: User) -> None:
        factories.submission(owner)
        assert runs.claim(worker="a")
        assert runs.release_expired() == 0

    def test_a_file_of_answers_that_a_lost_worker_left_without_a_score_is_replaced(self, owner: User) -> None:
        factories.submission(owner)
        claimed = runs.claim(worker="a")
        assert claimed
        folder = f"evaluations/{claimed.pk}"
        for name in ("fpb.jsonl", "fpb-0123456789ab.jsonl", "fiqa-0123456789ab.jsonl"):
            default_storage.save(f"{folder}/{name}", ContentFile(b"cut o"))
        stored = runs.record_score(claimed, factories.score("fpb"), items=items()).items.name
        there = {f"{folder}/{name}" for name in default_storage.listdir(folder)[1]}
        assert there == {stored, f"{folder}/fiqa-0123456789ab.jsonl"}

    def test_answers_that_are_given_anew_are_another_file(self, owner: User) -> None:
        """Under one name there is one file for good: a backup may be reading it."""
        factories.submission(owner)
        first = runs.claim(worker="a")
        assert first
        before = runs.record_score(first, factories.score("fpb"), items=items()).items.name
        lose_the_lease(first)
        runs.release_expired()
        second = runs.claim(worker="b")
        assert second and runs.remaining_benchmarks(second, ["fpb"]) == ["fpb"]
        assert runs.record_score(second, factories.score("fpb"), items=items()).items.name != before

    def test_scores_recorded_before_the_loss_are_kept(self, owner: User) -> None:
        factories.submission(owner)
        first = runs.claim(worker="a")
        assert first
        runs.record_score(first, factories.score("fpb"), items=items())
        lose_the_lease(first)
        runs.release_expired()
        second = runs.claim(worker="b")
        assert second and [s.benchmark for s in second.scores.all()] == ["fpb"]


@pytest.mark.django_db
class TestFailing:
    def test_an_infrastructure_failure_is_retried_once(self, owner: User) -> None:
        made = factories.submission(owner)
        for expected in ("queued", "failed"):
            claimed = runs.claim(worker="a")
            assert claimed
            runs.fail_attempt(claimed, Failure("engine_crash", "It crashed.", Fault.CRASH))
            evaluation = factories.evaluation_of(made)
            assert (evaluation.status, evaluation.error_code) == (expected, "engine_crash")
        made.refresh_from_db()
        assert made.status == "failed" and evaluation.error_message == "It crashed."

    def test_a_permanent_failure_is_not(self, owner: User) -> None:
        made = factories.submission(owner)
        claimed = runs.claim(worker="a")
        assert claimed
        runs.fail_attempt(claimed, Failure("checkpoint", "It does not fit.", Fault.INPUT))
        assert factories.evaluation_of(made).status == "failed"

    def test_a_worker_lost_twice_fails_the_evaluation_with_a_reason(self, owner: User) -> None:
        made = factories.submission(owner)
        for _ in range(2):
            claimed = runs.claim(worker="a")
            assert claimed
            lose_the_lease(claimed)
            runs.release_expired()
        evaluation = factories.evaluation_of(made)
        assert (evaluation.status, evaluation.error_code) == ("failed", "worker_lost")


@pytest.mark.django_db
class TestTheDatabaseRefuses:
    @pytest.mark.parametrize("status", ["published", "in_review", "evaluating", "disqualified"])
    def test_a_jump_of_a_submission(self, owner: User, status: str) -> None:
        made = factories.submission(owner)
        runs.claim(worker="a")
        made.refresh_from_db()
        with pytest.raises(DatabaseError, match="Invalid transition"), transaction.atomic():
            Submission.objects.filter(pk=made.pk, status="evaluating").update(status="published")
        Submission.objects.filter(pk=made.pk).update(status="withdrawn")
        with pytest.raises(DatabaseError, match="Invalid transition"), transaction.atomic():
            Submission.objects.filter(pk=made.pk).update(status=status)

    def test_a_finished_evaluation_going_on(self, owner: User) -> None:
        made = factories.evaluated(owner)
        changes: list[dict[str, Any]] = [{"status": "queued", "finished_at": None}, {"provenance": {}}]
        for change in changes:
            with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
                made.evaluations.update(**change)

    def test_scores_of_a_finished_evaluation_coming_or_going(self, owner: User) -> None:
        made = factories.evaluated(owner)
        score = Score.objects.first()
        assert score
        with pytest.raises(DatabaseError, match="only while"), transaction.atomic():
            Score.objects.all().delete()
        score.pk, score.benchmark = None, "medqa"
        with pytest.raises(DatabaseError, match="only while"), transaction.atomic():
            score.save(force_insert=True)
        assert factories.evaluation_of(made).scores.count() == 3

    def test_a_published_entry_changing_its_words_or_costs(self, owner: User) -> None:
        from portal.submissions.models import Resource

        made = factories.published(owner)
        with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
            Submission.objects.filter(pk=made.pk).update(method="Better words")
        with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
            Resource.objects.update(value=0)

    def test_success_without_all_scores(self, owner: User) -> None:
        factories.submission(owner)
        claimed = runs.claim(worker="a")
        assert claimed
        runs.record_score(claimed, factories.score("fpb"), items=items())
        with pytest.raises(ValueError, match="fiqa, tfns"):
            runs.succeed(claimed, provenance={})

    def test_a_changed_score(self, owner: User) -> None:
        factories.evaluated(owner)
        with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
            Score.objects.update(value=1.0)

    def test_another_checkpoint_or_team_for_a_submission(self, owner: User) -> None:
        made = factories.submission(owner)
        for change in ({"config_text": "x"}, {"challenge": "medical"}, {"kind": "reference"}):
            with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
                Submission.objects.filter(pk=made.pk).update(**change)

    def test_changed_history(self, owner: User) -> None:
        from portal.submissions.models import StatusEvent  # type: ignore[attr-defined]

        made = factories.published(owner)
        history = list(
            StatusEvent.objects.filter(pgh_obj_id=made.pk).order_by("pk").values_list("status", flat=True)
        )
        assert history == ["received", "queued", "evaluating", "in_review", "published"]
        with pytest.raises(DatabaseError), transaction.atomic():
            StatusEvent.objects.all().delete()

    def test_a_second_active_evaluation(self, owner: User) -> None:
        from django.db import IntegrityError

        made = factories.submission(owner)
        with pytest.raises(IntegrityError, match="evaluation_one_active"), transaction.atomic():
            runs.enqueue(made, 1)


@pytest.mark.django_db(transaction=True)
def test_concurrent_workers_never_take_the_same_evaluation() -> None:
    owner = factories.user()
    for number in range(12):
        factories.submission(owner, method=f"number {number}")
    taken: list[Any] = []

    def work() -> None:
        try:
            while evaluation := runs.claim(worker="thread"):
                taken.append(evaluation.pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 12 == len(set(taken))


@pytest.mark.django_db
class TestProtocols:
    @pytest.fixture(autouse=True)
    def second(self, monkeypatch: pytest.MonkeyPatch) -> None:
        second_protocol.register(monkeypatch)

    @pytest.fixture
    def both(self, owner: User, settings: Any) -> Submission:
        """A submission to a site that evaluates under protocol 2, which comes first, and 1."""
        settings.LEADERBOARD_PROTOCOLS = (2, 1)
        return factories.submission(owner)

    def test_a_submission_is_evaluated_under_each_of_the_sites_protocols_in_their_order(
        self, both: Submission
    ) -> None:
        assert {e.protocol for e in both.evaluations.all()} == {1, 2}
        claimed = [runs.claim(worker="a"), runs.claim(worker="b")]
        assert [e and e.protocol for e in claimed] == [2, 1]

    def test_the_first_complete_one_brings_it_to_review_and_the_others_go_on(self, both: Submission) -> None:
        factories.evaluate(both)
        assert both.status == "in_review"
        assert runs.claim(worker="a") is not None
        both.refresh_from_db()
        assert both.status == "in_review"

    def test_published_meanwhile_it_joins_the_other_board_when_that_is_done(self, both: Submission) -> None:
        factories.publish(factories.evaluate(both))
        assert [len(snapshots.current("finance", number).standings) for number in (2, 1)] == [1, 0]
        factories.evaluate(both)
        assert [len(snapshots.current("finance", number).standings) for number in (2, 1)] == [1, 1]

    def test_it_failed_only_when_no_evaluation_is_left_that_may_succeed(self, both: Submission) -> None:
        for status in ("queued", "failed"):
            claimed = runs.claim(worker="a")
            assert claimed
            runs.fail_attempt(claimed, Failure("memory", "Too large.", Fault.INPUT))
            both.refresh_from_db()
            assert both.status == status

    def test_a_rejection_ends_what_still_goes_on(self, both: Submission, reviewer: User) -> None:
        factories.evaluate(both)
        factories.review(both, reviewer, Decision.Action.REJECT, reason="No code.")
        assert {e.status for e in both.evaluations.all()} == {"succeeded", "cancelled"}

    def test_evaluating_again_asks_for_each_protocol_that_is_not_under_way(
        self, both: Submission, reviewer: User
    ) -> None:
        factories.evaluate(both)
        assert runs.claim(worker="a") is not None
        factories.review(both, reviewer, Decision.Action.RERUN)
        assert [e.protocol for e in both.evaluations.filter(status="queued")] == [2]
        both.refresh_from_db()
        assert both.status == "evaluating"
        with pytest.raises(TransitionRefused, match="evaluating"):
            factories.review(both, reviewer, Decision.Action.RERUN)

    def test_another_protocol_may_be_asked_for_if_there_is_one(self, owner: User) -> None:
        made = factories.published(owner)
        with pytest.raises(UnknownNameError, match="there are: 1, 2"):
            runs.enqueue(made, 3)
        assert runs.enqueue(made, 2).protocol == 2

    def test_one_evaluation_at_a_time_under_each_protocol(self, owner: User) -> None:
        made = factories.published(owner)
        runs.enqueue(made, 2)
        runs.enqueue(made, 1)
        with pytest.raises(IntegrityError), transaction.atomic():
            runs.enqueue(made, 2)

    def test_it_is_complete_when_its_own_protocols_benchmarks_are_scored(self, owner: User) -> None:
        made = factories.published(owner)
        runs.enqueue(made, 2)
        evaluation = runs.claim(worker="a")
        assert evaluation
        for benchmark in factories.BENCHMARKS:
            runs.record_score(evaluation, factories.score(benchmark), items=items())
        progress = progress_of(evaluation)
        assert progress and (progress.benchmarks_done, progress.benchmarks_total) == (3, 4)
        with pytest.raises(ValueError, match=second_protocol.ADDED):
            runs.succeed(evaluation, provenance={})
        runs.record_score(evaluation, factories.score(second_protocol.ADDED), items=items())
        runs.succeed(evaluation, provenance={})


@pytest.mark.django_db
def test_what_was_official_in_nf4_is_no_longer(owner: User) -> None:
    entries = [factories.evaluated(owner, method=name) for name in ("in nf4", "in fp4")]
    unfinished = factories.submission(owner, method="unfinished")
    evaluation = runs.claim(worker="a")
    assert evaluation
    runs.record_score(evaluation, factories.score("fpb"), items=items())
    for made, precision in zip(entries, ("nf4", "fp4"), strict=True):
        with pgtrigger.ignore("runs.Evaluation:evaluation_final"):
            made.evaluations.update(provenance={"precision": precision})
    import_module("portal.runs.migrations.0007_nf4_is_not_official").withdraw(apps, None)
    official = {
        made.method: {s.official for s in factories.evaluation_of(made).scores.all()}
        for made in (*entries, unfinished)
    }
    assert official == {"in nf4": {False}, "in fp4": {True}, "unfinished": {False}}
    (reasons,) = {tuple(s.unofficial_reasons) for s in factories.evaluation_of(entries[0]).scores.all()}
    assert reasons == ("the precision is nf4; protocol 1 asks for fp4",)
