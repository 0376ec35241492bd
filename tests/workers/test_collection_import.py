"""A hub collection's adapters become reference entries of those that a reviewer chooses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from huggingface_hub import constants

from evaluation.hub.collection import fetch_collection
from portal.accounts.models import User
from portal.intake.collection_import import Wanted, import_adapters
from portal.submissions.models import Submission
from tests.evaluation.hub_server import COMMIT, HubServer
from tests.portal import factories
from tests.portal.conftest import quick_passwords, reviewer, storage, stranger
from workers import fetch

__all__ = ["quick_passwords", "reviewer", "storage", "stranger"]

pytestmark = pytest.mark.django_db(transaction=True)

WITH_CARD, WITHOUT, NO_ADAPTER = "paper/one-fedavg", "paper/two-FedProx", "paper/readme"
SLUG = "paper/finance-0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("portal.queues.app.send_task", lambda *_, **__: None)
    adapter = {
        "adapter_model.safetensors": factories.adapter_bytes(),
        "adapter_config.json": factories.config_bytes(),
    }
    other = {**adapter, "adapter_model.safetensors": factories.adapter_bytes(seed=1)}
    with HubServer(WITH_CARD, {**adapter, "pyproject.toml": factories.PYPROJECT}) as hub:
        hub.others = [HubServer(WITHOUT, other), HubServer(NO_ADAPTER, {"README.md": b""})]
        hub.collections = {SLUG: [WITH_CARD, WITHOUT, NO_ADAPTER]}
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def test_a_collection_is_found_by_name_or_page(server: HubServer) -> None:
    for name in (SLUG, "paper/finance", f"{server.url}/collections/{SLUG}"):
        found = fetch_collection(name)
        assert (found.slug, len(found.models)) == (SLUG, 3)


def test_adapters_come_with_card_and_origin_and_are_sent(reviewer: User) -> None:
    factories.base_model()
    wanted = Wanted("finance", preset="finance")
    made = {one.repository: one for one in import_adapters(fetch_collection(SLUG), wanted, user=reviewer)}
    assert made[NO_ADAPTER].submission is None and "adapter" in made[NO_ADAPTER].reason
    fetch.run_waiting()
    first, second = (made[name].submission for name in (WITH_CARD, WITHOUT))
    assert first and second
    for submission, repository in ((first, WITH_CARD), (second, WITHOUT)):
        submission.refresh_from_db()
        errors = submission.findings.filter(severity="error").values_list("message", flat=True)
        assert list(errors) == []
        assert (submission.status, submission.kind) == ("queued", "reference")
        assert submission.origin == f"{repository}@{COMMIT}"
    assert first.description == ""
    assert (
        second.method_card and second.method_card["strategy"] == "fedprox" and second.method_card["rank"] == 4
    )
    assert "is reviewer's statement" in second.description
    again = list(import_adapters(fetch_collection(SLUG), wanted, user=reviewer))
    assert [one.reason for one in again[:2]] == ["there already"] * 2
    assert Submission.objects.count() == 2


def test_reviewers_list_first_and_choose(
    reviewer: User, stranger: User, capsys: pytest.CaptureFixture[str]
) -> None:
    factories.base_model()
    arguments = ("import_hub_collection", "paper/finance", "--challenge", "finance")
    call_command(*arguments)
    assert WITHOUT in capsys.readouterr().out and not Submission.objects.exists()
    with pytest.raises(CommandError, match="may submit reference entries"):
        call_command(*arguments, "--user", stranger.username)
    with pytest.raises(CommandError, match="the collection has no paper/three"):
        call_command(*arguments, "--user", reviewer.username, "--only", "paper/three")
    call_command(*arguments, "--user", reviewer.username, "--only", WITH_CARD)
    assert Submission.objects.get().hub_fetch.repository == WITH_CARD
