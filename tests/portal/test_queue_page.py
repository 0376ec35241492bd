"""What everybody reads of the queue, and what is expected of what waits."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from io import BytesIO
from typing import Any

import pytest
from django.core.cache import cache
from django.core.files.base import File
from django.test import Client
from django.utils import timezone

from evaluation.errors import Fault
from portal.accounts.models import User
from portal.intake.progress import progress_of
from portal.outages.causes import Failure
from portal.queues import EVALUATE
from portal.runs import forecast, presence
from portal.runs import services as runs
from portal.runs.models import Evaluation
from portal.runs.services import LeftToOthers
from tests.portal import factories

pytestmark = pytest.mark.django_db


def queue_page(client: Client) -> str:
    response = client.get("/queue/")
    assert response.status_code == HTTPStatus.OK
    return response.content.decode()


class TestPage:
    def test_without_work_and_workers_it_says_both(self, client: Client) -> None:
        page = queue_page(client)
        assert "No worker is running." in page and "Nothing waits" in page

    def test_others_read_only_the_challenge_of_what_is_private(self, client: Client, owner: User) -> None:
        factories.submission(owner, method="SecretMethod")
        page = queue_page(client)
        assert "A submission to Finance" in page
        assert "SecretMethod" not in page and owner.username not in page
        client.force_login(factories.user("stranger"))
        assert "SecretMethod" not in queue_page(client)
        client.force_login(owner)
        page = queue_page(client)
        assert "SecretMethod" in page and ">yours<" in page

    def test_what_runs_and_what_came_out_is_told(self, client: Client, owner: User) -> None:
        published = factories.published(owner, method="PublicMethod")
        factories.submission(owner)
        presence.beat("machine:1", ())
        running = runs.claim(worker="machine:1")
        assert running
        page = queue_page(client)
        assert "1 worker is running, none is free." in page and "Benchmarks done" in page
        assert f'href="/entries/{published.pk}/"' in page and "PublicMethod" in page
        assert "machine" not in page

    def test_that_a_public_entry_failed_when_evaluated_again_is_its_teams_affair(
        self, client: Client, owner: User
    ) -> None:
        published = factories.published(owner, method="PublicMethod")
        runs.enqueue(published, 1)
        again = runs.claim(worker="machine:1")
        assert again
        runs.fail_attempt(again, Failure("checkpoint", "It broke.", Fault.INPUT))
        page = queue_page(client)
        assert "Failed" in page and page.count("PublicMethod") == 1, "it came out before"
        client.force_login(owner)
        assert queue_page(client).count("PublicMethod") == 2

    def test_readers_without_an_account_have_it_made_only_so_often(
        self, client: Client, owner: User, settings: Any
    ) -> None:
        cache.clear()
        few = {**settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"], "views": "1/minute"}
        settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": few}
        queue_page(client)
        refused = client.get("/queue/live/")
        assert refused.status_code == HTTPStatus.TOO_MANY_REQUESTS and refused["Retry-After"]
        client.force_login(owner)
        queue_page(client)
        cache.clear()

    def test_the_footer_leads_to_it_and_it_renews_itself(self, client: Client) -> None:
        assert 'href="/queue/"' in client.get("/help/findings/").content.decode()
        assert 'hx-get="/queue/live/"' in client.get("/queue/live/").content.decode()

    def test_the_api_says_the_same(self, client: Client, owner: User) -> None:
        factories.submission(owner, method="SecretMethod")
        document = client.get("/api/v1/queue/").json()
        (waiting,) = document["waiting"]
        assert document["workers"] == 0 and document["waiting_total"] == 1
        assert (
            waiting["position"] == 1 and waiting["submission"] is None and waiting["challenge"] == "finance"
        )
        client.force_login(owner)
        assert client.get("/api/v1/queue/").json()["waiting"][0]["method"] == "SecretMethod"


class TestExpectation:
    def test_without_a_worker_the_place_is_told_and_that_none_is_running(self, owner: User) -> None:
        told = progress_of(factories.evaluation_of(factories.submission(owner)))
        assert told and told.queue_position == 1 and told.expectation == "no worker is running"

    def test_without_similar_evaluations_only_those_that_find_a_free_worker_have_a_start(
        self, owner: User
    ) -> None:
        waiting = [factories.evaluation_of(factories.submission(owner)) for _ in range(2)]
        presence.beat("machine:1", ())
        first, second = (forecast.expectation(one) for one in waiting)
        assert first.start and first.end is None
        assert second.position == 2 and second.start is None
        assert forecast.in_words(second).startswith("nothing like what comes before it was evaluated here")

    def test_similar_evaluations_say_when_the_next_starts(self, owner: User) -> None:
        done = factories.submission(owner)
        claimed = runs.claim(worker="test")
        assert claimed
        Evaluation.objects.filter(pk=claimed.pk).update(started_at=timezone.now() - timedelta(minutes=10))
        for benchmark in factories.BENCHMARKS:
            runs.record_score(claimed, factories.score(benchmark), items=File(BytesIO(b"{}\n")))
        runs.succeed(claimed, provenance={})
        waiting = [factories.evaluation_of(factories.submission(owner)) for _ in range(3)]
        presence.beat("machine:1", ())
        told = [forecast.expectation(one) for one in waiting]
        assert [one.position for one in told] == [1, 2, 3] and done
        assert forecast.in_words(told[0]) == "starts within a minute or two"
        # One took ten minutes, so another takes five to twenty; whole minutes, outwards.
        for one, minutes in zip(told[1:], (15, 30), strict=True):
            assert one.start
            wide = one.start.latest - one.start.earliest
            assert timedelta(minutes=minutes) <= wide <= timedelta(minutes=minutes + 2)

    def test_a_worker_with_two_gpus_is_expected_to_take_two_at_once(
        self, client: Client, owner: User
    ) -> None:
        waiting = [factories.evaluation_of(factories.submission(owner)) for _ in range(3)]
        hardware = presence.Said(timezone.now(), (EVALUATE,), "", "2 x a GPU", at_once=2)
        presence.beat("machine:1", (), hardware)
        told = [forecast.expectation(one) for one in waiting]
        assert [one.start is not None for one in told] == [True, True, False]
        assert runs.claim(worker="machine:1")
        told = [forecast.expectation(one) for one in waiting[1:]]
        assert [one.start is not None for one in told] == [True, False]
        assert "1 worker is running, for 2 evaluations at once; 1 more can begin." in queue_page(client)

    def test_what_no_worker_here_can_compute_is_called_so(self, owner: User) -> None:
        waiting = factories.evaluation_of(factories.submission(owner))
        presence.beat("machine:1", [LeftToOthers("finance", 1, "a worker with more memory", parameters=10)])
        told = forecast.expectation(waiting)
        assert told.position is None
        assert told.hindrance == "no worker here can compute it: it waits for a worker with more memory"

    def test_what_one_worker_lacks_is_no_hindrance_while_another_is_only_busy(self, owner: User) -> None:
        waiting = factories.evaluation_of(factories.submission(owner))
        small = LeftToOthers("finance", 1, "a worker with more memory", parameters=10)
        presence.beat("machine:1", [small])
        runs.say_what_waits([small])
        waiting.refresh_from_db()
        told = progress_of(waiting)
        assert told and told.phase == "waiting for a worker with more memory" and told.queue_position is None
        presence.beat("machine:2", ())
        told = progress_of(waiting)
        assert told and told.phase == "waiting for a free worker" and told.queue_position == 1

    def test_what_was_claimed_a_moment_ago_is_about_to_start(self, owner: User) -> None:
        waiting = factories.evaluation_of(factories.submission(owner))
        assert runs.claim(worker="machine:1")
        assert forecast.in_words(forecast.expectation(waiting)) == "starts within a minute or two"

    def test_a_worker_that_was_not_seen_for_a_while_is_not_counted(self) -> None:
        presence.beat("machine:1", ())
        assert presence.workers()
        presence.leave("machine:1")
        assert not presence.workers() and presence.last_seen()

    def test_my_submissions_say_the_place(self, client: Client, owner: User) -> None:
        factories.submission(owner)
        client.force_login(owner)
        assert "number 1, no worker is running" in client.get("/submissions/").content.decode()
