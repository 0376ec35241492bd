"""Server time of board pages with many entries, against an empty view behind the same middleware."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from django.http import HttpResponse
from django.test import Client
from django.urls import path
from django.utils import timezone

from portal.accounts.models import User, personal_team
from portal.runs.models import Evaluation, Score
from portal.submissions.models import BaseModel, Submission
from portal.urls import urlpatterns as site_urls
from tests.perf.measure import Comparison, median_seconds

ENTRIES = 200
urlpatterns = [path("empty/", lambda _: HttpResponse("ok")), *site_urls]


def compare() -> Iterator[Comparison]:
    from django.test.runner import DiscoverRunner
    from django.test.utils import override_settings

    runner = DiscoverRunner(verbosity=0, interactive=False)
    databases: Any = runner.setup_databases()
    try:
        _fill()
        with override_settings(ROOT_URLCONF="tests.perf.page_speed", ALLOWED_HOSTS=["*"]):
            client = Client()
            empty = median_seconds(lambda: client.get("/empty/"), 50)
            for name in ("/", "/leaderboard/finance/", "/api/v1/leaderboards/finance/"):
                seconds = median_seconds(lambda name=name: client.get(name), 10)  # type: ignore[misc]
                yield Comparison(f"GET {name} with {ENTRIES} entries", seconds, "an empty view", empty)
    finally:
        runner.teardown_databases(databases)


def _fill() -> None:
    """Published finance entries, written past the services: triggers check only changes of status."""
    user = User.objects.create_user("perf", "perf@example.org")
    team = personal_team(user)
    model = BaseModel.objects.create(
        hub_id="Example/Perf", parameters=10**9, context_length=2048, tensors={"shapes": {}}
    )
    now = timezone.now()
    for number in range(ENTRIES):
        submission = Submission.objects.create(
            team=team,
            submitter=user,
            challenge="finance",
            kind="reference",
            method=f"Entry {number}",
            base_model=model,
            status="published",
            published_at=now,
        )
        evaluation = Evaluation.objects.create(
            submission=submission,
            base_model=model,
            protocol=1,
            status="running",
            claim_id=uuid.uuid4(),
            lease_expires_at=now,
        )
        Score.objects.bulk_create(
            Score(
                evaluation=evaluation,
                benchmark=benchmark,
                value=(number % 100) / 100,
                standard_error=0.01,
                n=100,
                correct=number % 100,
                unscored=0,
                data="official",
                data_digest="x",
                available=100,
                official=True,
                correct_bits=b"",
                scored_bits=b"",
                seconds=1,
                tokens=1,
            )
            for benchmark in ("fpb", "fiqa", "tfns")
        )
    Evaluation.objects.update(status="succeeded", claim_id=None, lease_expires_at=None, finished_at=now)
