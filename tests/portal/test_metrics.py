"""What Prometheus is told of the site, to whom, and that dashboard and alerts ask for nothing else."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.db import connection
from django.db.utils import OperationalError
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from evaluation.gpus import Condition
from portal.accounts.models import User
from portal.control import orders
from portal.control.models import Act, Hold, Queue
from portal.control.orders import Operator
from portal.environment import PROJECT_ROOT
from portal.monitoring import of_running, of_work, site
from portal.operate import last_backup
from portal.outages import records
from portal.outages.causes import HUB
from portal.runs import presence, services
from portal.runs.models import Evaluation
from portal.runs.presence import Said
from tests.portal import factories

pytestmark = pytest.mark.django_db

FOLDER = PROJECT_ROOT / "deploy" / "monitoring"
RULES = yaml.safe_load((FOLDER / "rules.yml").read_text())["groups"][0]["rules"]
CASES = yaml.safe_load((FOLDER / "alerts.test.yml").read_text())["tests"]
PANELS = json.loads((FOLDER / "grafana-dashboard.json").read_text())["panels"]
QUESTIONS = [target["expr"] for panel in PANELS for target in panel.get("targets", ())]


@pytest.fixture(autouse=True)
def with_a_token(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.METRICS_TOKEN = "s3cret"
    monkeypatch.setattr(site, "KEPT_SECONDS", 0.0)


def scraped(client: Client) -> str:
    response = client.get("/metrics", headers={"Authorization": "Bearer s3cret"})
    assert response.status_code == 200
    return response.content.decode()


def values(text: str) -> dict[str, float]:
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_nobody_reads_them_without_the_token(client: Client, settings: Any) -> None:
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"Authorization": "Bearer other"}).status_code == 401
    settings.METRICS_TOKEN = ""
    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404


def test_the_queue_is_told_by_challenge_with_its_oldest_wait(client: Client, owner: User) -> None:
    made = factories.submission(owner)
    since = timezone.now() - timedelta(hours=3)
    Evaluation.objects.filter(submission=made).update(queued_at=since)
    found = values(scraped(client))
    assert found["flowertune_queued finance evaluation"] == 1
    assert found["flowertune_queued code evaluation"] == 0
    oldest = found["flowertune_oldest_queued_timestamp_seconds finance evaluation"]
    assert oldest == pytest.approx(since.timestamp(), abs=1)
    assert services.claim(worker="machine:7")
    presence.beat("machine:7", ())
    presence.beat("machine:8", ())
    found = values(scraped(client))
    assert found["flowertune_queued finance evaluation"] == 0
    assert found["flowertune_running finance evaluation"] == 1
    assert (found["flowertune_workers evaluating"], found["flowertune_workers idle"]) == (1, 1)
    assert "flowertune_worker_last_seen_timestamp_seconds machine" in found


def test_what_operators_closed_is_told_and_workers_that_wait_count_apart(client: Client) -> None:
    by: dict[str, Any] = {"reason": "dust", "by": Operator(None, Act.Via.TERMINAL)}
    presence.beat("machine:7", (), Said(timezone.now(), ("evaluate",), "", "", waits="maintenance"))
    orders.hold(Hold.Kind.QUEUE, "train", how=Hold.How.DRAIN, **by)
    found = values(scraped(client))
    assert [found[f"flowertune_closed {queue}"] for queue in Queue.values] == [0, 1, 0]
    assert (found["flowertune_workers idle"], found["flowertune_workers waits"]) == (0, 1)
    orders.begin_maintenance(**by)
    found = values(scraped(client))
    assert [found[f"flowertune_closed {queue}"] for queue in Queue.values] == [1, 1, 1]


def test_a_lease_that_ran_out_is_told_also_where_the_next_attempt_went_well(
    client: Client, owner: User
) -> None:
    factories.submission(owner)
    assert services.claim(worker="machine:7")
    Evaluation.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    assert services.release_expired() == 1
    evaluation = services.claim(worker="machine:8")
    assert evaluation
    assert values(scraped(client))["flowertune_broken_attempts worker_lost running"] == 1
    services.give_back(evaluation)


def test_gpus_are_told_by_machine_once_however_many_workers_share_them(client: Client) -> None:
    hot = Condition("GPU-1", 60 * 10**9, 80 * 10**9, 91, ("heat",))
    part = Condition("MIG-1", 0, 10 * 10**9, None, None)
    said = Said(timezone.now(), ("evaluate",), "", "two GPUs")
    presence.beat("machine:7", (), replace(said, gpus=(replace(hot, temperature=40, slowed_by=()),)))
    presence.beat("machine:8", (), replace(said, gpus=(hot, part)))
    found = {name: value for name, value in values(scraped(client)).items() if "_gpu_" in name}
    assert found == {
        "flowertune_gpu_memory_used_bytes GPU-1 machine": 60e9,
        "flowertune_gpu_memory_size_bytes GPU-1 machine": 80e9,
        "flowertune_gpu_temperature_celsius GPU-1 machine": 91,
        "flowertune_gpu_throttled heat GPU-1 machine": 1,
        "flowertune_gpu_throttled power GPU-1 machine": 0,
        "flowertune_gpu_memory_used_bytes MIG-1 machine": 0,
        "flowertune_gpu_memory_size_bytes MIG-1 machine": 10e9,
    }


def test_what_was_measured_and_what_waits_for_people_is_told(client: Client, owner: User) -> None:
    factories.published(owner)
    records.seen(HUB, "", "503")
    client.get("/leaderboards/finance/")
    found = values(scraped(client))
    assert found["flowertune_recent_items finance"] > 0 and found["flowertune_recent_seconds finance"] > 0
    assert found["flowertune_outages hub"] == 1
    assert found["flowertune_log_unwritten result"] == 1
    assert found["flowertune_cases_waiting"] == 0


def test_the_last_backup_is_told_where_there_is_a_record_that_can_be_read(
    tmp_path: Path, settings: Any
) -> None:
    settings.VAR_DIR = tmp_path
    record = tmp_path / last_backup.LAST_BACKUP
    assert not of_running._backup().samples
    record.write_text('{"made_at": "yesterday"}')
    assert not of_running._backup().samples
    record.write_text('{"made_at": "1970-01-01T00:01:00+00:00"}')
    assert of_running._backup().samples[0].value == 60


def test_requests_count_by_the_routes_pattern_and_never_by_what_somebody_typed(client: Client) -> None:
    client.get("/submissions/987654/")
    client.get("/no-such-page-987654/")
    client.generic("BREW", "/")
    text = scraped(client)
    assert 'route="submissions/<int:pk>/"' in text and 'route="unknown"' in text
    labels = re.findall(r"\{.*?\} ", text)  # a time may have any digits
    assert labels and not [one for one in labels if "987654" in one or "BREW" in one]


def test_a_database_that_is_away_is_told(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise OperationalError("no answer")

    monkeypatch.setattr(of_work, "read", away)
    found = values(scraped(client))
    assert found["flowertune_database_up"] == 0 and "flowertune_disk_free_bytes" in found


def test_many_who_ask_at_once_cost_one_reading_of_a_few_queries(
    client: Client, monkeypatch: pytest.MonkeyPatch, owner: User
) -> None:
    factories.published(owner)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        scraped(client)
    assert len(queries) < 25
    monkeypatch.setattr(site, "KEPT_SECONDS", 3600.0)
    with CaptureQueriesContext(connection) as queries:
        scraped(client)
    assert not queries.captured_queries


def test_dashboard_and_alerts_ask_only_for_what_is_there(client: Client) -> None:
    client.get("/healthz")
    there = {sample.name for f in text_string_to_metric_families(scraped(client)) for sample in f.samples}
    there |= set(re.findall(r"^# TYPE (\S+)", scraped(client), re.M))
    asked = [*QUESTIONS, *(rule["expr"] for rule in RULES)]
    named = {name for expr in asked for name in re.findall(r"flowertune_\w+", expr)}
    assert named and named <= there
    told = {name for name in there if name.startswith("flowertune_")}
    unasked = {name for name in told if not any(one.startswith(name) for one in named)}
    assert {name for name in unasked if not name.endswith(("_bucket", "_created"))} == set()


def test_each_alert_has_a_case_in_which_it_fires_alone_and_is_silent_on_a_healthy_site() -> None:
    alerts = {rule["alert"] for rule in RULES}
    for case in CASES:
        assert {one["alertname"] for one in case["alert_rule_test"]} == alerts
        fires = {one["alertname"] for one in case["alert_rule_test"] if one["exp_alerts"]}
        of = case["name"].partition(",")[0]
        assert fires == (set() if of.startswith("a healthy site") else {of}), case["name"]
    assert alerts < {case["name"] for case in CASES}


def test_the_alerts_do_as_their_cases_say(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool, from the package prometheus")
    done = subprocess.run(
        [promtool, "test", "rules", "alerts.test.yml"], cwd=FOLDER, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rules = [{"record": f"panel:{number}", "expr": expr} for number, expr in enumerate(QUESTIONS)]
    panels = tmp_path / "panels.yml"
    panels.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run([promtool, "check", "rules", str(panels)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
