"""Drafts from the hub: fetched by a worker, at a commit, with a token that leaves no trace."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone
from huggingface_hub import constants

from portal.accounts.models import User, personal_team
from portal.intake import hub_fetches, hub_tokens, services
from portal.intake.drafts import Draft, HubSource
from portal.submissions.models import HubFetch, Submission
from tests.evaluation.hub_server import COMMIT, HubServer
from tests.portal import factories
from tests.portal.conftest import as_owner, owner, quick_passwords, storage
from workers import fetch, leases

__all__ = ["as_owner", "owner", "quick_passwords", "storage"]

pytestmark = pytest.mark.django_db(transaction=True)

REPO = "somebody/fed-adapter"
TOKEN = "hf_secret_of_the_submitter"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    files = {
        "adapter_model.safetensors": factories.adapter_bytes(),
        "adapter_config.json": factories.config_bytes(),
        "pyproject.toml": factories.PYPROJECT,
    }
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("portal.queues.app.send_task", lambda *_, **__: None)
    with HubServer(REPO, files) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


@pytest.fixture
def kept_in_memory(settings: Any) -> None:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}


def draft(owner: User, **source: Any) -> Draft:
    return factories.draft(owner, files=None, hub=HubSource(**{"repository": REPO, **source}))


def codes(submission: Submission) -> list[str]:
    return list(submission.findings.filter(severity="error").values_list("code", flat=True))


def nothing_is_left_of_the_fetch() -> bool:
    return not any((Path(django_settings.VAR_DIR) / "fetches").glob("*"))


def test_the_files_come_and_the_commit_is_on_record(server: HubServer, owner: User) -> None:
    submission = services.create(draft(owner, revision="main"))
    assert codes(submission) == [] and hub_fetches.is_under_way(submission)
    fetch.run_waiting()
    submission.refresh_from_db()
    assert submission.origin == f"{REPO}@{COMMIT}" and submission.status == "received"
    assert codes(submission) == [] and submission.hub_fetch.status == "done"
    assert services.send(submission).checkpoint
    assert nothing_is_left_of_the_fetch()


def test_it_is_sent_by_itself_when_its_submitter_said_so(server: HubServer, owner: User) -> None:
    submission = services.create(draft(owner, send=True))
    fetch.run_waiting()
    submission.refresh_from_db()
    assert submission.status == "queued" and submission.evaluations.exists()


def test_what_stands_against_it_keeps_it_a_draft(server: HubServer, owner: User, storage: Path) -> None:
    server.files["adapter_model.safetensors"] = b"PK\x03\x04" + bytes(60)
    submission = services.create(draft(owner, send=True))
    fetch.run_waiting()
    submission.refresh_from_db()
    assert submission.status == "received" and "file.not_safetensors" in codes(submission)
    assert not [path for path in storage.rglob("*") if path.is_file()]


def test_a_used_up_quota_keeps_it_a_draft_and_says_so(server: HubServer, owner: User, settings: Any) -> None:
    settings.SUBMISSIONS_PER_DAY = 1
    factories.submission(owner)
    submission = services.create(draft(owner, send=True))
    fetch.run_waiting()
    submission.refresh_from_db()
    assert submission.status == "received" and codes(submission) == ["submission.quota"]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"repository": "somebody/else"}, "The hub shows no repository somebody/else"),
        ({"revision": "v9"}, "no revision v9"),
        ({"subfolder": "peft_3"}, "no peft_3/adapter_model.safetensors"),
    ],
)
def test_a_failure_leaves_the_draft_with_what_to_do(
    server: HubServer, owner: User, source: dict[str, str], words: str
) -> None:
    submission = services.create(draft(owner, send=True, **source))
    fetch.run_waiting()
    finding = submission.findings.get(code="hub.not_fetched")
    assert words in finding.message and finding.severity == "error"
    submission.refresh_from_db()
    assert submission.status == "received" and submission.hub_fetch.status == "failed"
    assert nothing_is_left_of_the_fetch()


def test_an_adapter_over_the_sites_limit_is_not_fetched(
    server: HubServer, owner: User, settings: Any
) -> None:
    settings.SUBMISSION_MAX_BYTES = 100
    submission = services.create(draft(owner))
    fetch.run_waiting()
    assert "the limit is 100" in submission.findings.get(code="hub.not_fetched").message
    assert not any("resolve" in path for path in server.requests)


def test_the_hubs_files_replace_and_uploads_end_their_origin(server: HubServer, owner: User) -> None:
    submission = services.create(factories.draft(owner))
    services.amend(submission, draft(owner))
    fetch.run_waiting()
    submission.refresh_from_db()
    assert submission.origin
    services.amend(submission, factories.draft(owner))
    submission.refresh_from_db()
    assert submission.origin == ""


# The token


def test_the_token_is_used_once_and_leaves_no_trace(
    server: HubServer, owner: User, kept_in_memory: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    submission = services.create(draft(owner, token=TOKEN))
    waiting = submission.hub_fetch.token_key
    assert waiting and TOKEN.encode() not in cache.get(f"hub-token:{waiting}")
    fetch.run_waiting()
    assert {headers.get("authorization") for headers in server.headers} == {f"Bearer {TOKEN}"}
    assert cache.get(f"hub-token:{waiting}") is None
    submission.hub_fetch.refresh_from_db()
    assert submission.hub_fetch.token_key is None
    rows = [row for model in (Submission, HubFetch) for row in model.objects.values()]
    assert (
        TOKEN not in repr(rows) and TOKEN not in caplog.text and TOKEN not in repr(draft(owner, token=TOKEN))
    )


def test_a_token_that_is_gone_is_asked_for_again(
    server: HubServer, owner: User, kept_in_memory: None
) -> None:
    submission = services.create(draft(owner, token=TOKEN))
    cache.clear()
    fetch.run_waiting()
    assert "Give it again" in submission.findings.get(code="hub.not_fetched").message
    assert server.requests == []


def test_a_token_under_another_secret_key_is_gone(settings: Any, kept_in_memory: None) -> None:
    key = hub_tokens.keep(TOKEN)
    settings.SECRET_KEY = "another"
    assert hub_tokens.take(key) is None
    assert hub_tokens.take(hub_tokens.keep(TOKEN)) == TOKEN


# The queue


def test_a_lost_worker_is_tried_again_and_then_given_up(
    server: HubServer, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    submission = services.create(draft(owner))
    for _ in range(hub_fetches.ATTEMPTS):
        assert hub_fetches.claim(machine="m") and hub_fetches.claim(machine="m") is None
        HubFetch.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
        fetch.recover()
    assert not hub_fetches.work_is_waiting()
    assert "twice" in submission.findings.get(code="hub.not_fetched").message


def test_a_worker_that_was_declared_dead_writes_nothing(server: HubServer, owner: User) -> None:
    submission = services.create(draft(owner))
    lost = hub_fetches.claim(machine="m")
    assert lost
    HubFetch.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    fetch.recover()
    fetch.run(lost)
    submission.refresh_from_db()
    assert not submission.adapter_file and hub_fetches.work_is_waiting()


def test_a_draft_that_is_deleted_meanwhile_is_no_error(server: HubServer, owner: User, storage: Path) -> None:
    submission = services.create(draft(owner))
    claimed = hub_fetches.claim(machine="m")
    assert claimed
    services.delete(submission)
    fetch.run(claimed)
    assert not [path for path in storage.rglob("*") if path.is_file()]
    assert nothing_is_left_of_the_fetch()


def test_leftovers_of_killed_workers_are_cleared(server: HubServer, owner: User) -> None:
    folder = Path(django_settings.VAR_DIR) / "fetches" / "left"
    folder.mkdir(parents=True, exist_ok=True)
    fetch.recover()
    assert not folder.exists()


# Outages


def test_a_hub_that_is_away_lets_the_draft_wait_with_its_token(
    server: HubServer, owner: User, kept_in_memory: None, monkeypatch: pytest.MonkeyPatch, as_owner: Client
) -> None:
    monkeypatch.setattr(server, "respond", lambda _: (503, {}, b""))
    submission = services.create(draft(owner, token=TOKEN))
    fetch.run_waiting()
    waiting = submission.hub_fetch
    waiting.refresh_from_db()
    assert waiting.status == "waiting" and waiting.waiting_for == "the model hub" and waiting.attempts == 0
    assert (
        "Waiting for the model hub, next try at"
        in as_owner.get(submission.get_absolute_url()).content.decode()
    )
    assert "waiting for the model hub, next try at" in as_owner.get("/submissions/").content.decode()
    hub = as_owner.get(f"/api/v1/submissions/{submission.pk}/").json()["hub"]
    assert hub["waiting_for"] == "the model hub" and hub["next_try_at"]
    fetch.run_waiting()
    assert codes(submission) == [], "not before its time"
    monkeypatch.undo()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    HubFetch.objects.update(waits_until=timezone.now())
    server.headers.clear()
    fetch.run_waiting()
    waiting.refresh_from_db()
    assert waiting.status == "done" and waiting.outage is None and waiting.token_key is None
    assert {headers.get("authorization") for headers in server.headers} == {f"Bearer {TOKEN}"}


def test_a_claim_that_is_lost_ends_the_download(
    server: HubServer, owner: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(leases, "LOOK_SECONDS", 0.01)
    server.files["adapter_model.safetensors"] = factories.adapter_bytes() + bytes(8 * 1024**2)
    submission = services.create(draft(owner))
    answer, begun = server.respond, threading.Event()

    def respond(path: str) -> tuple[int, dict[str, str], bytes]:
        if path.endswith("adapter_model.safetensors") and not begun.is_set():
            HubFetch.objects.update(claim_id="00000000-0000-4000-8000-000000000000")
            connection.close()
            begun.set()
            lost.wait(30)
        return answer(path)

    def warned(*words: object) -> None:
        lost.set()

    lost = threading.Event()
    monkeypatch.setattr(server, "respond", respond)
    monkeypatch.setattr(leases.logger, "warning", warned)
    fetch.run_waiting()
    assert "is of no use" in caplog.text and not any("adapter_config" in path for path in server.requests[2:])
    for thread in threading.enumerate():
        if thread.name.startswith("fetch"):
            thread.join(30)
    submission.refresh_from_db()
    assert not submission.adapter_file and nothing_is_left_of_the_fetch()


# In the browser


def form(owner: User, **changes: Any) -> dict[str, Any]:
    return {
        "challenge": "finance",
        "base_model": factories.base_model().pk,
        "team": personal_team(owner).pk,
        "not_trained_on_test_items": "on",
        "method": "FedAvg",
        "hub_repository": REPO,
        **changes,
    }


def test_the_form_takes_a_repository_in_place_of_files(
    server: HubServer, owner: User, as_owner: Client
) -> None:
    response = as_owner.post("/submit/", form(owner, action="send"), follow=True)
    html = response.content.decode()
    assert "Fetching the files from the hub" in html and 'hx-trigger="every 2s"' in html
    submission = Submission.objects.get()
    assert as_owner.post(f"/submissions/{submission.pk}/send/", follow=True).status_code == 200
    submission.refresh_from_db()
    assert submission.status == "received"  # not while its files are on their way
    fetch.run_waiting()
    submission.refresh_from_db()
    assert submission.status == "queued"
    assert f"{REPO}@{COMMIT}" in as_owner.get(f"/submissions/{submission.pk}/").content.decode()


@pytest.mark.parametrize(
    ("field", "value", "blamed"),
    [
        ("hub_repository", "http://127.0.0.1/x", "hub_repository"),
        ("hub_repository", "../etc", "hub_repository"),
        ("hub_revision", "../up", "hub_revision"),
        ("hub_subfolder", "a/../../b", "hub_subfolder"),
    ],
)
def test_names_that_lead_elsewhere_are_refused(
    owner: User, as_owner: Client, field: str, value: str, blamed: str
) -> None:
    response = as_owner.post("/submit/", form(owner, **{field: value}))
    assert response.status_code == 422 and blamed in response.context["form"].errors
    assert not Submission.objects.exists()


def test_files_and_a_repository_exclude_each_other(owner: User, as_owner: Client) -> None:
    response = as_owner.post("/submit/", form(owner, **factories.uploads()))
    assert response.status_code == 422 and "adapter_model" in response.context["form"].errors


def test_the_token_is_never_shown_again(owner: User, as_owner: Client) -> None:
    response = as_owner.post("/submit/", form(owner, method=" ", hub_token=TOKEN))
    assert response.status_code == 422 and TOKEN not in response.content.decode()


def test_the_scheduler_knows_the_tasks(server: HubServer) -> None:
    from workers.app import app

    call_command("check")
    app.loader.import_default_modules()
    assert {"workers.tasks.fetch_from_hub", "workers.tasks.expire_drafts"} <= set(app.tasks)
