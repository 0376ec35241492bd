"""Operators' orders: what they do to work, who may give them, and that each is on record, by every way."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import Error, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from evaluation.hub import cache
from portal.accounts.models import ApiToken, User
from portal.accounts.roles import Role, give
from portal.baselines import queue as baselines
from portal.control import maintenance, orders
from portal.control.models import Act, Eviction, Hold
from portal.control.orders import Operator, OrderRefused
from portal.intake import hub_fetches
from portal.operate import evictions, work
from portal.operate.overview import overview
from portal.operate.work import Kind
from portal.outages import waiting
from portal.runs import claims, presence, services, transfer
from portal.runs.models import BaselineRun, DroppedAnswers, Evaluation, Score
from portal.runs.presence import CachedModel, Said
from portal.submissions.models import HubFetch
from tests.portal import factories
from workers import orders as worker_orders

pytestmark = pytest.mark.django_db
SOMEBODY = Operator(None, Act.Via.TERMINAL)
WHY: dict[str, Any] = {"reason": "a new driver", "by": SOMEBODY}


@pytest.fixture
def operator(groups: None) -> User:
    import_module("portal.control.migrations.0001_orders_and_their_record")._give_operators_the_right(
        apps, None
    )
    user = factories.user("operator")
    give(user, Role.OPERATOR)
    return User.objects.get(pk=user.pk)


@pytest.fixture
def as_operator(operator: User) -> Client:
    client = Client()
    client.force_login(operator)
    return client


def beat(name: str, **said: Any) -> None:
    told: dict[str, Any] = {"queues": ("evaluate",), "release": "1", "hardware": "8 cores"}
    presence.beat(name, (), Said(started_at=timezone.now(), **told | said))


class TestHolds:
    def test_a_queue_a_machine_or_a_worker_begins_nothing_until_it_is_resumed(self, owner: User) -> None:
        factories.submission(owner)
        for kind, name in ((Hold.Kind.QUEUE, "evaluate"), (Hold.Kind.WORKER, "a"), (Hold.Kind.WORKER, "a:1")):
            orders.hold(kind, name, how=Hold.How.DRAIN, **WHY)
            assert services.claim(worker="a:1") is None
            orders.resume(kind, name, by=SOMEBODY)
        orders.hold(Hold.Kind.WORKER, "a:1", how=Hold.How.PAUSE, **WHY)
        assert services.claim(worker="a:2")

    def test_another_queue_goes_on(self, owner: User) -> None:
        factories.submission(owner)
        orders.hold(Hold.Kind.QUEUE, "train", how=Hold.How.PAUSE, **WHY)
        assert baselines.claim(worker="a:1") is None and services.claim(worker="a:1")

    def test_what_makes_no_sense_is_refused_in_words(self) -> None:
        with pytest.raises(OrderRefused, match="no queue nights"):
            orders.hold(Hold.Kind.QUEUE, "nights", how=Hold.How.PAUSE, **WHY)
        with pytest.raises(OrderRefused, match="Give a reason"):
            orders.hold(Hold.Kind.WORKER, "a", how=Hold.How.PAUSE, reason=" ", by=SOMEBODY)
        with pytest.raises(OrderRefused, match="neither drained nor paused"):
            orders.resume(Hold.Kind.WORKER, "a", by=SOMEBODY)
        with pytest.raises(OrderRefused, match="more than 120"):
            orders.hold(Hold.Kind.WORKER, "a" * 121, how=Hold.How.PAUSE, **WHY)
        with pytest.raises(OrderRefused, match="in 500 characters"):
            orders.begin_maintenance(reason="x" * 501, by=SOMEBODY)
        assert not Hold.objects.exists() and maintenance.current() is None and not Act.objects.exists()

    def test_of_a_worker_and_its_machine_the_stricter_order_is_shown_and_a_new_one_has_its_own_time(
        self,
    ) -> None:
        beat("a:1")
        first = orders.hold(Hold.Kind.WORKER, "a:1", how=Hold.How.DRAIN, **WHY)
        orders.hold(Hold.Kind.WORKER, "a", how=Hold.How.PAUSE, **WHY)
        assert [one.state for one in overview().workers] == ["paused"]
        assert orders.hold(Hold.Kind.WORKER, "a:1", how=Hold.How.DRAIN, **WHY).since > first.since

    def test_an_order_to_a_process_ends_with_it_and_one_to_its_machine_stands(self) -> None:
        for name in ("a:1", "a"):
            orders.hold(Hold.Kind.WORKER, name, how=Hold.How.DRAIN, **WHY)
        orders.ended("a:1")
        assert list(Hold.objects.values_list("name", flat=True)) == ["a"]

    def test_the_overview_tells_draining_from_drained(self, owner: User) -> None:
        factories.submission(owner)
        beat("a:1")
        claimed = services.claim(worker="a:1")
        assert claimed and [one.state for one in overview().workers] == ["works"]
        orders.hold(Hold.Kind.WORKER, "a", how=Hold.How.DRAIN, **WHY)
        assert [one.state for one in overview().workers] == ["draining"]
        services.give_back(claimed)
        assert [one.state for one in overview().workers] == ["drained"]


class TestMaintenance:
    def test_what_is_sent_is_kept_and_nothing_begun(self, owner: User) -> None:
        orders.begin_maintenance(**WHY)
        made = factories.submission(owner)
        assert made.status == "queued" and services.claim(worker="a:1") is None
        orders.end_maintenance(by=SOMEBODY)
        assert services.claim(worker="a:1")

    def test_pages_that_are_kept_say_so_too_and_the_api_tells_why(self, client: Client) -> None:
        assert b"a new driver" not in client.get("/rules/").content
        orders.begin_maintenance(**WHY)
        maintenance.look_again()
        for path in ("/", "/rules/", "/leaderboard/finance/", "/queue/"):
            assert b"a new driver" in client.get(path).content, path
        assert "a new driver" in client.get("/api/v1/queue/").json()["closed"]
        orders.end_maintenance(by=SOMEBODY)
        maintenance.look_again()
        assert b"a new driver" not in client.get("/rules/").content
        assert client.get("/api/v1/queue/").json()["closed"] == ""


class TestSingleWork:
    def test_what_runs_goes_back_and_its_worker_loses_it(self, owner: User) -> None:
        factories.submission(owner)
        claimed = services.claim(worker="a:1")
        assert claimed
        queued = work.requeue(Kind.EVALUATION, claimed.pk, **WHY)
        assert (queued.pk, queued.status, queued.attempts) == (claimed.pk, "queued", 0)
        with pytest.raises(claims.ClaimLostError):
            claims.renew(claimed)

    def test_of_what_failed_another_is_queued_and_of_what_waits_for_an_outage_none(self, owner: User) -> None:
        made = factories.submission(owner)
        claimed = services.claim(worker="a:1")
        assert claimed
        claims.finish(claimed, Evaluation.Status.FAILED, error_code="x")
        queued = work.requeue(Kind.EVALUATION, claimed.pk, **WHY)
        assert queued.pk != claimed.pk and factories.evaluation_of(made).pk == queued.pk
        Evaluation.objects.filter(pk=queued.pk).update(waits_until=timezone.now() + timedelta(hours=1))
        assert services.claim(worker="a:1") is None
        assert work.requeue(Kind.EVALUATION, queued.pk, **WHY).pk == queued.pk
        assert services.claim(worker="a:1")

    def test_what_is_done_or_waits_already_is_left(self, owner: User) -> None:
        done = factories.evaluation_of(factories.evaluated(owner))
        with pytest.raises(OrderRefused, match="is done"):
            work.requeue(Kind.EVALUATION, done.pk, **WHY)
        queued = factories.evaluation_of(factories.submission(owner, method="another"))
        with pytest.raises(OrderRefused, match="in the queue already"):
            work.requeue(Kind.EVALUATION, queued.pk, **WHY)
        with pytest.raises(OrderRefused, match="no evaluation 0"):
            work.requeue(Kind.EVALUATION, 0, **WHY)

    def test_a_priority_goes_before_those_who_came_first(self, owner: User, stranger: User) -> None:
        factories.submission(owner)
        later = factories.evaluation_of(factories.submission(stranger))
        work.prioritise(Kind.EVALUATION, later.pk, 5, **WHY)
        claimed = services.claim(worker="a:1")
        assert claimed and claimed.pk == later.pk
        with pytest.raises(OrderRefused, match="does not wait"):
            work.prioritise(Kind.EVALUATION, later.pk, 0, **WHY)

    def test_of_a_failed_measuring_another_one_is_queued_and_nothing_for_the_board(
        self, owner: User, settings: Any
    ) -> None:
        settings.EVALUATION_PRECISION = "fp32"  # what the entry was evaluated in
        made = factories.published(owner)
        (home,) = made.evaluations.all()
        failed = transfer.ask(made)[0]
        beside, domain = failed.purpose, failed.domain
        Evaluation.objects.exclude(pk__in=[home.pk, failed.pk]).delete()
        claimed = services.claim(worker="a:1")
        assert claimed and claimed.pk == failed.pk
        claims.finish(claimed, Evaluation.Status.FAILED, error_code="x")
        again: Any = work.requeue(Kind.EVALUATION, failed.pk, **WHY)
        assert (again.purpose, again.domain, again.priority) == (beside, domain, transfer.PRIORITY)
        assert Act.objects.first().target == f"evaluation {failed.pk}, as {again.pk}"  # type: ignore[union-attr]
        with pytest.raises(OrderRefused, match="evaluated already"):
            work.requeue(Kind.EVALUATION, failed.pk, **WHY)

    def test_the_usual_place_is_behind_all_else_for_what_is_measured_beside_the_boards(
        self, owner: User, settings: Any
    ) -> None:
        settings.EVALUATION_PRECISION = "fp32"  # what the entry was evaluated in
        asked = transfer.ask(factories.published(owner))[0]
        work.prioritise(Kind.EVALUATION, asked.pk, 5, **WHY)
        assert work.prioritise(Kind.EVALUATION, asked.pk, 0, **WHY).priority == transfer.PRIORITY

    def test_baseline_runs_too(self, reviewer: User) -> None:
        first, second = (
            BaselineRun.objects.create(
                challenge="finance",
                base_model=factories.base_model(),
                strategy="fedavg",
                precision="fp32",
                method=name,
                config={"clients": 2},
                rounds=3,
                requested_by=reviewer,
            )
            for name in ("first", "second")
        )
        work.prioritise(Kind.BASELINE, second.pk, 1, **WHY)
        claimed = baselines.claim(worker="a:1")
        assert claimed and claimed.pk == second.pk
        claims.finish(claimed, BaselineRun.Status.FAILED, error_code="x")
        again: Any = work.requeue(Kind.BASELINE, second.pk, **WHY)
        assert again.pk not in (first.pk, second.pk)
        assert (again.status, again.priority, again.config) == ("queued", 1, {"clients": 2})
        with pytest.raises(OrderRefused, match=f"baseline run {again.pk}"):
            work.requeue(Kind.BASELINE, second.pk, **WHY)


def test_what_a_worker_has_in_hand_are_fetches_from_the_hub_too(owner: User) -> None:
    beat("a:1")
    made = factories.submission(owner)
    HubFetch.objects.create(submission=made, repository="org/adapter", requested_at=timezone.now())
    assert hub_fetches.claim(machine="a", worker="a:1")
    (worker,) = overview().workers
    assert [(one.kind, one.title, one.submission) for one in worker.doing] == [
        ("fetch", "org/adapter", made.pk)
    ]


def test_single_answers_are_told_with_what_they_take_and_early_ones_apart(owner: User) -> None:
    kept = factories.evaluated(owner)
    storage = overview().storage
    sizes = list(Score.objects.filter(evaluation__submission=kept).values_list("items_bytes", flat=True))
    assert sizes and None not in sizes
    assert (storage.answer_files, storage.answer_bytes) == (len(sizes), sum(filter(None, sizes)))
    (dropped, *_) = Score.objects.all()
    DroppedAnswers.objects.create(score=dropped, sha256="0" * 64, size=dropped.items_bytes or 0)
    storage = overview().storage
    assert storage.answer_files == len(sizes) - 1
    assert storage.answer_bytes == sum(filter(None, sizes)) - (dropped.items_bytes or 0)
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE runs_score SET items_bytes = NULL WHERE id <> %s", [dropped.pk])
        cursor.execute("SET session_replication_role = DEFAULT")
    storage = overview().storage
    assert (storage.answer_bytes, storage.answer_files_of_unknown_size) == (0, len(sizes) - 1)


def test_the_part_that_renews_itself_reads_nothing_of_what_is_stored(as_operator: Client) -> None:
    with CaptureQueriesContext(connection) as queries:
        as_operator.get("/operate/live/")
    read = [one["sql"] for one in queries]
    assert read and not [sql for sql in read if "runs_score" in sql or "control_act" in sql]


def cached(*repos: str) -> tuple[CachedModel, ...]:
    return tuple(CachedModel(repo, 5 * 1024**3, "2026-11-01T00:00:00") for repo in repos)


def test_a_worker_removes_what_it_is_asked_to_from_its_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    beat(worker_orders.WORKER_NAME, cached=cached("org/large", "org/used"))
    removed = {"org/large": cache.Model("org/large", 5 * 1024**3, 0.0)}
    monkeypatch.setattr(worker_orders.cache, "remove", removed.get)
    monkeypatch.setattr(worker_orders.cache, "holds", lambda repo: repo == "org/used")
    for repo in ("org/large", "org/used"):
        evictions.evict(worker_orders.MACHINE, repo, **WHY)
    assert overview().caches[0].asked == {"org/large", "org/used"}
    assert worker_orders.evict() and not worker_orders.evict()
    outcomes = dict(Eviction.objects.values_list("repo", "outcome"))
    assert outcomes == {"org/large": "removed, 5.0 GB", "org/used": "in use, and so not removed"}


def test_a_model_that_cannot_be_removed_is_told_of_and_the_worker_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuses(repo: str) -> None:
        raise PermissionError(13, "Permission denied")

    beat(worker_orders.WORKER_NAME, cached=cached("org/large"))
    evictions.evict(worker_orders.MACHINE, "org/large", **WHY)
    monkeypatch.setattr(worker_orders.cache, "remove", refuses)
    assert worker_orders.evict()
    assert Eviction.objects.get().outcome == "not removed: Permission denied"
    monkeypatch.setattr(worker_orders.cache, "models", lambda: refuses(""))
    assert worker_orders.cached_models() == ()


def test_what_nobody_could_remove_is_refused_and_what_nobody_came_for_lapses() -> None:
    with pytest.raises(OrderRefused, match="No worker of a is there"):
        evictions.evict("a", "org/large", **WHY)
    beat("a:1", cached=cached("org/large"))
    with pytest.raises(OrderRefused, match="has no org/other"):
        evictions.evict("a", "org/other", **WHY)
    evictions.evict("a", "org/large", **WHY)
    evictions.lapse()
    assert Eviction.objects.get().done_at is None
    Eviction.objects.update(asked_at=timezone.now() - 2 * evictions.LAPSES)
    evictions.lapse()
    assert Eviction.objects.get().done_at is not None and not overview().caches[0].asked


class TestTheRecord:
    def test_every_order_is_on_it_with_its_reason_and_stays(self, operator: User) -> None:
        by = Operator(operator, Act.Via.PAGE)
        orders.hold(Hold.Kind.WORKER, "a", how=Hold.How.PAUSE, reason="dust", by=by)
        orders.resume(Hold.Kind.WORKER, "a", by=by)
        rows = list(Act.objects.order_by("pk").values_list("what", "target", "reason", "by__username"))
        assert rows == [("pause", "worker a", "dust", "operator"), ("resume", "worker a", "", "operator")]
        for statement in ("DELETE FROM control_act", "UPDATE control_act SET reason = ''"):
            with pytest.raises(Error, match="Cannot update or delete"), transaction.atomic():
                connection.cursor().execute(statement)


class TestCommands:
    @pytest.mark.usefixtures("operator")
    def test_workers_are_listed_drained_and_waited_for(self, owner: User) -> None:
        factories.submission(owner)
        beat("a:1")
        claimed = services.claim(worker="a:1")
        assert claimed
        words = ["workers", "drain", "a", "--reason", "upgrade", "--by", "operator"]
        with pytest.raises(CommandError, match="still has work in hand"):
            call_command(*words, "--wait", "0", stdout=StringIO())
        services.give_back(claimed)
        call_command(*words, "--wait", "60", stdout=StringIO())
        said = StringIO()
        call_command("workers", "list", stdout=said)
        assert "a:1  drained: upgrade" in said.getvalue() and "evaluate: 1 waiting" in said.getvalue()
        call_command("workers", "resume", "a", stdout=StringIO())
        with pytest.raises(CommandError, match="Give a reason"):
            call_command("workers", "pause", "--queue", "train", stdout=StringIO())
        with pytest.raises(CommandError, match="name a worker"):
            call_command("workers", "pause", "--reason", "x", stdout=StringIO())

    def test_the_others(self, owner: User) -> None:
        said, why = StringIO(), ["--reason", "why"]
        beat("a:1", cached=cached("org/large"))
        call_command("maintenance", "on", *why, stdout=said)
        call_command("maintenance", "off", stdout=said)
        queued = factories.evaluation_of(factories.submission(owner))
        call_command("prioritise", "evaluation", str(queued.pk), "3", *why, stdout=said)
        Evaluation.objects.filter(pk=queued.pk).update(waits_until=timezone.now() + waiting.LONGEST)
        call_command("requeue", "evaluation", str(queued.pk), *why, stdout=said)
        call_command("evict", "a", "org/large", *why, stdout=said)
        call_command("evict", stdout=said)
        for words in ("since", "not under maintenance", "priority 3", "in the queue", "asked to remove"):
            assert words in said.getvalue()


class TestWhoMay:
    def test_the_page_is_for_operators(self, client: Client, as_owner: Client, as_operator: Client) -> None:
        assert client.get("/operate/").status_code == 302
        assert as_owner.get("/operate/").status_code == 403
        beat("a:1", waits="the database is of a later release")
        page = as_operator.get("/operate/").content.decode()
        assert "a:1" in page and "of a later release" in page
        assert 'href="/operate/"' in page and 'href="/operate/"' not in as_owner.get("/").content.decode()

    def test_orders_on_pages_say_what_follows_and_need_a_reason(self, as_operator: Client) -> None:
        form = as_operator.get("/operate/pause/?kind=queue&name=train")
        assert b"goes back to the queue" in form.content
        sent = {"kind": "queue", "name": "train", "reason": ""}
        assert as_operator.post("/operate/pause/", sent).status_code == 422
        assert as_operator.post("/operate/pause/", sent | {"reason": "dust"}).status_code == 302
        assert Hold.objects.get().reason == "dust" and Act.objects.get().by
        refused = as_operator.post("/operate/end-maintenance/", {"reason": ""})
        assert refused.status_code == 422 and b"not under maintenance" in refused.content

    def test_the_api_is_for_operators_with_a_token_of_that_scope(self, operator: User, owner: User) -> None:
        def asks(user: User, *scopes: str) -> Any:
            secret = ApiToken.issue(user=user, name="t", scopes=scopes)[1]
            return Client(headers={"Authorization": f"Bearer {secret}"}).post(
                "/api/v1/operate/holds/",
                {"kind": "queue", "name": "train", "how": "drain", "reason": "dust"},
                content_type="application/json",
            )

        assert asks(owner, "operate").status_code == 403
        assert asks(operator, "read", "submit").status_code == 403
        answer = asks(operator, "operate")
        assert answer.status_code == 200
        (train,) = [one for one in answer.json()["queues"] if one["queue"] == "train"]
        assert train["hold"]["how"] == "drain" and answer.json()["acts"][0]["via"] == "api"

    def test_an_order_that_is_sent_again_with_its_key_is_given_once(self, operator: User) -> None:
        secret = ApiToken.issue(user=operator, name="t", scopes=("operate",))[1]
        api = Client(headers={"Authorization": f"Bearer {secret}", "Idempotency-Key": "one"})
        sent = {"kind": "queue", "name": "train", "how": "drain", "reason": "dust"}
        first, again = (
            api.post("/api/v1/operate/holds/", sent, content_type="application/json") for _ in range(2)
        )
        assert again["Idempotency-Replayed"] == "true" and again.json() == first.json()
        assert Act.objects.count() == 1

    def test_the_whole_record_can_be_read(self, as_operator: Client, as_owner: Client) -> None:
        for number in range(101):
            orders.begin_maintenance(reason=f"reason {number}", by=SOMEBODY)
        assert b"reason 0" not in as_operator.get("/operate/").content
        assert b'<span class="said">reason 0</span>' in as_operator.get("/operate/record/?page=2").content
        assert as_owner.get("/operate/record/").status_code == 403

    def test_only_operators_can_make_such_a_token(self, as_owner: Client, as_operator: Client) -> None:
        sent = {"name": "t", "scopes": ["operate"], "lifetime": "7"}
        assert as_owner.post("/accounts/tokens/", sent).status_code == 422
        assert as_operator.post("/accounts/tokens/", sent).status_code == 200


def test_the_last_backup_is_told(settings: Any, tmp_path: Path) -> None:
    settings.VAR_DIR = tmp_path
    assert overview().last_backup is None
    (tmp_path / "last-backup.json").write_text('{"made_at": "2026-11-29T12:00:00+00:00"}')
    assert overview().last_backup is not None
