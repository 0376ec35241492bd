"""A hub collection's adapters become reference entries of those that a reviewer chooses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from huggingface_hub import constants

from evaluation.errors import CheckpointError
from evaluation.hub.adapter import AdapterSettings
from evaluation.hub.collection import fetch_collection
from portal.accounts.models import Team, User
from portal.intake import collection_import, quotas
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
        hub.others = [
            HubServer(WITHOUT, other, commit="d" * 40),
            HubServer(NO_ADAPTER, {"README.md": b""}, commit="e" * 40),
        ]
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
    for submission, repository, commit in ((first, WITH_CARD, COMMIT), (second, WITHOUT, "d" * 40)):
        submission.refresh_from_db()
        errors = submission.findings.filter(severity="error").values_list("message", flat=True)
        assert list(errors) == []
        assert (submission.status, submission.kind) == ("queued", "reference")
        assert submission.origin == f"{repository}@{commit}"
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


def test_a_large_collection_is_imported_whole(
    server: HubServer, reviewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit of drafts is not for reference entries, which are made quicker than workers fetch them."""
    factories.base_model()
    monkeypatch.setattr(quotas, "OPEN_DRAFTS", 2)
    names = [f"paper/adapter-{number}" for number in range(4)]
    files = {"adapter_config.json": factories.config_bytes()}
    server.others += [
        HubServer(
            name,
            {**files, "adapter_model.safetensors": factories.adapter_bytes(seed=number)},
            commit=f"{number:040x}",
        )
        for number, name in enumerate(names)
    ]
    server.collections = {SLUG: [*names, names[0]]}
    made = list(import_adapters(fetch_collection(SLUG), Wanted("finance", preset="finance"), user=reviewer))
    assert [one.reason for one in made] == [*[""] * len(names), "there already"]
    assert Submission.objects.count() == len(names)


def test_two_imports_at_once_make_one_submission(reviewer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    factories.base_model()
    wanted, found = Wanted("finance", only=(WITH_CARD.upper(),)), fetch_collection(SLUG)
    asked = collection_import.fetch_settings

    def while_another_runs(*args: Any, **options: Any) -> AdapterSettings:
        monkeypatch.setattr(collection_import, "fetch_settings", asked)
        assert [one.reason for one in import_adapters(found, wanted, user=reviewer)] == [""]
        return asked(*args, **options)

    monkeypatch.setattr(collection_import, "fetch_settings", while_another_runs)
    assert [one.reason for one in import_adapters(found, wanted, user=reviewer)] == ["there already"]
    assert Submission.objects.count() == 1


def test_a_renamed_repository_is_not_imported_again(server: HubServer, reviewer: User) -> None:
    factories.base_model()
    wanted = Wanted("finance", only=(WITH_CARD,))
    assert [one.reason for one in import_adapters(fetch_collection(SLUG), wanted, user=reviewer)] == [""]
    server.others.append(HubServer("paper/new-name", server.files, commit=COMMIT))
    server.collections = {SLUG: ["paper/new-name"]}
    again = list(import_adapters(fetch_collection(SLUG), Wanted("finance"), user=reviewer))
    assert [one.reason for one in again] == ["there already"] and Submission.objects.count() == 1


def test_a_hub_that_has_enough_ends_the_import_and_the_next_goes_on(
    server: HubServer, reviewer: User, capsys: pytest.CaptureFixture[str]
) -> None:
    factories.base_model()
    arguments = ("import_hub_collection", SLUG, "--challenge", "finance", "--user", reviewer.username)
    without, _ = server.others
    server.limited = {WITHOUT}
    with pytest.raises(CommandError, match=r"429.*the same command goes on"):
        call_command(*arguments)
    assert Submission.objects.get().hub_fetch.repository == WITH_CARD
    server.limited = set()
    without.gated = True
    call_command(*arguments)
    told = capsys.readouterr().out
    assert "is gated" in told and "1 there already, 2 left out" in told
    without.gated = False
    call_command(*arguments)
    assert "1 there already, 1 new, 1 left out" in capsys.readouterr().out


def test_a_second_reviewer_without_staff_rights_goes_on_with_it(reviewer: User, stranger: User) -> None:
    factories.base_model()
    right = Permission.objects.get(codename="submit_reference")
    for user in (reviewer, stranger):
        user.is_staff = user.is_superuser = False
        user.save()
        user.user_permissions.add(right)
        user = User.objects.get(pk=user.pk)
        wanted = Wanted("finance", only=(WITH_CARD if user == reviewer else WITHOUT,))
        assert [one.reason for one in import_adapters(fetch_collection(SLUG), wanted, user=user)] == [""]
    outsider = factories.user("outsider")
    outsider.memberships.create(team=Team.objects.get(name="paper (hub)"))
    with pytest.raises(CheckpointError, match="somebody's team"):
        list(import_adapters(fetch_collection(SLUG), Wanted("finance"), user=reviewer))
