"""A thousand submissions of very unequal users and teams, and two real workers with the scripted process.

Was anything lost or done twice, how long is a worker idle between two evaluations while others wait, and was
anybody served more than twice as late as with an ideal sharing: every user who waits the same part of the
workers, every team of theirs the same part of that? FAIRNESS_SUBMISSIONS sets how many there are. Before
that: what a claim takes with 1,000 and with 20,000 queued.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.db import connection, transaction

from portal.accounts.models import Team, User
from portal.environment import PROJECT_ROOT
from portal.queues import QUEUES
from portal.runs import forecast, services
from portal.runs.models import Evaluation
from portal.submissions.models import BaseModel, Submission
from tests.perf.measure import Comparison
from tests.portal import factories

SUBMISSIONS = int(os.environ.get("FAIRNESS_SUBMISSIONS", "1000"))
CLAIM_LIMIT, SHARE_LIMIT = 0.5, 2.0
WORKERS = 2
PATIENCE_SECONDS = 1800

# Parts of all submissions: each line a user, each figure one of their teams.
USERS = (
    (0.03,) * 10,
    (0.33,),
    (0.10, 0.01),
    (0.06, 0.06),
    *((0.02,),) * 6,
    *((0.001,),) * 20,
)


def compare() -> Iterator[Comparison]:
    from django.test.runner import DiscoverRunner

    runner = DiscoverRunner(verbosity=0, interactive=False)
    databases: Any = runner.setup_databases()
    try:
        with tempfile.TemporaryDirectory() as name:
            yield from _compare(Path(name))
    finally:
        runner.teardown_databases(databases)


def _compare(folder: Path) -> Iterator[Comparison]:
    (folder / "script.json").write_text("{}")
    teams = _teams()
    pattern = _pattern(teams, folder)
    for queued in (1000, 20_000):
        yield from _claim_speed(pattern, teams, queued)
    _fill(pattern, teams, SUBMISSIONS)
    workers = [_start(folder) for _ in range(WORKERS)]
    try:
        _wait()
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.wait(timeout=60)
    yield from _verdict()


def _teams() -> list[tuple[User, Team, float]]:
    made = []
    for number, parts in enumerate(USERS):
        user = factories.user(f"user{number}")
        for place, part in enumerate(parts):
            made.append((user, Team.objects.create(name=f"{user.username}, team {place}"), part))
    return made


def _pattern(teams: list[tuple[User, Team, float]], folder: Path) -> Submission:
    """A submission through the real intake, whose files all others share."""
    factories.base_model()
    BaseModel.objects.update(local_path=folder)
    made = factories.submission(teams[0][0])
    services.cancel_active(made)
    return made


def _fill(pattern: Submission, teams: list[tuple[User, Team, float]], number: int) -> None:
    """Who sends most sends first."""
    made = [
        Submission(
            team=team,
            submitter=user,
            challenge=pattern.challenge,
            method="FedAvg",
            base_model=pattern.base_model,
            checkpoint=pattern.checkpoint,
            status=Submission.Status.QUEUED,
        )
        for user, team, part in teams
        for _ in range(max(1, round(part * number)))
    ][:number]
    Submission.objects.bulk_create(made)
    Evaluation.objects.bulk_create(
        Evaluation(submission=one, base_model=one.base_model, checkpoint=one.checkpoint, protocol=1)
        for one in made
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _claim_speed(
    pattern: Submission, teams: list[tuple[User, Team, float]], queued: int
) -> Iterator[Comparison]:
    """What a claim takes, and playing the queue out for the pages, rolled back."""
    with transaction.atomic():
        _fill(pattern, teams, queued)
        claims, forecasts = [], []
        for number in range(30):
            start = time.perf_counter()
            assert services.claim(worker=f"measured {number}")
            claims.append(time.perf_counter() - start)
        for _ in range(3):
            start = time.perf_counter()
            cache.clear()
            forecast.expectations()
            forecasts.append(time.perf_counter() - start)
        plan = _plan()
        transaction.set_rollback(True)
    claims.sort()
    yield Comparison(
        f"claim of {queued:,} queued, p95", claims[int(0.95 * len(claims))], "limit", CLAIM_LIMIT, plan
    )
    yield Comparison(f"all expected starts of {queued:,}", statistics.median(forecasts), "limit", CLAIM_LIMIT)


def _plan() -> str:
    """EXPLAIN ANALYZE of the statement that reads whom to choose from: its own time."""
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as queries:
        services.claim(worker="explained")
    read = next(query["sql"] for query in queries if "ROW_NUMBER" in query["sql"])
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF) {read}")
        lines = [row[0] for row in cursor.fetchall()]
    return f"reading the candidates: {lines[-1].strip().lower()}, {lines[0].split('(')[0].strip().lower()}"


def _start(folder: Path) -> subprocess.Popen[bytes]:
    database = connection.settings_dict
    command = [sys.executable, "-m", "tests.perf.scripted_worker", "worker", "--pool", "threads"]
    command += ["--concurrency", "6", "--queues", ",".join(QUEUES), "--loglevel", "WARNING"]
    command += ["--without-gossip", "--without-mingle", "--hostname", f"fair{time.monotonic_ns()}@localhost"]
    environment = {
        "DATABASE_URL": f"postgresql://{database['USER']}@/{database['NAME']}?host={database['HOST']}",
        "REDIS_URL": settings.REDIS_URL,
        "EVALUATION_DATA": "demonstration",
        "EVALUATION_PRECISION": "fp32",
    }
    with (folder / "workers.log").open("ab") as log:
        return subprocess.Popen(
            command, cwd=PROJECT_ROOT, env={**os.environ, **environment}, stdout=log, stderr=log
        )


def _wait() -> None:
    """Wake the workers, as the scheduler would, until nothing is left."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    active = Evaluation.objects.filter(status__in=Evaluation.ACTIVE)
    while active.exists():
        assert time.monotonic() < deadline, f"{active.count()} evaluations are left"
        if not active.filter(status=Evaluation.Status.RUNNING).exists():
            for _ in range(WORKERS):
                services.wake_evaluators()
        time.sleep(1)


def _verdict() -> Iterator[Comparison]:
    done = list(
        Evaluation.objects.exclude(status=Evaluation.Status.CANCELLED)
        .order_by("started_at")
        .select_related("submission")
        .prefetch_related("scores")
    )
    lost = sum(one.status != Evaluation.Status.SUCCEEDED or one.scores.count() != 3 for one in done)
    doubled = sum(one.attempts > 0 for one in done)
    gaps, of_worker = [], defaultdict(list)
    for one in done:
        of_worker[one.worker].append(one)
    for theirs in of_worker.values():
        gaps += [_seconds(one.finished_at, after.started_at) for one, after in pairwise(theirs)]
    gaps.sort()
    rate = len(done) / _seconds(done[0].started_at, done[-1].started_at)
    note = (
        f"{len(done)} done by {len(of_worker)} workers, {rate:.1f} a second; lost {lost}, doubled {doubled}; "
        f"p50 {1000 * statistics.median(gaps):.0f} ms"
    )
    yield Comparison("free worker to claim, p95", gaps[int(0.95 * len(gaps))], "limit", CLAIM_LIMIT, note)
    print(f"  wait over fair share, worst of a team: {_worst_share(done):.2f} (limit {SHARE_LIMIT})")
    assert not lost and not doubled


def _seconds(earlier: datetime | None, later: datetime | None) -> float:
    assert earlier and later
    return (later - earlier).total_seconds()


def _worst_share(done: list[Evaluation]) -> float:
    """The worst claim: its number, over the number after which ideal sharing were through with it."""
    queued = Counter((one.submission.submitter_id, one.submission.team_id) for one in done)
    ideal = _ideal(queued)
    had: Counter[tuple[int, int]] = Counter()
    worst = 0.0
    for number, one in enumerate(done, start=1):
        team = (one.submission.submitter_id, one.submission.team_id)
        worst = max(worst, number / ideal[team][had[team]])
        had[team] += 1
    return worst


def _ideal(queued: Counter[tuple[int, int]]) -> dict[tuple[int, int], list[float]]:
    """When each evaluation of a team is through where all are served at once, in evaluations of the site."""
    left = {team: float(number) for team, number in queued.items()}
    ends: dict[tuple[int, int], list[float]] = {team: [] for team in queued}
    now = 0.0
    while left:
        teams_of = Counter(user for user, _ in left)
        parts = {team: 1 / len(teams_of) / teams_of[team[0]] for team in left}
        rest = {team: (number % 1 or 1.0) / parts[team] for team, number in left.items()}
        step = min(rest.values())
        now += step
        for team in list(left):
            left[team] -= step * parts[team]
            if abs(left[team] - round(left[team])) < 1e-9:
                left[team] = round(left[team])
                ends[team].append(now)
            if left[team] <= 0:
                del left[team]
    return ends
