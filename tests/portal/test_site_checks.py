"""`manage.py check --tag site`: each thing that hinders the site is named with a remedy, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core import checks
from django.core.checks import CheckMessage
from django.core.management import call_command
from django.utils import timezone

from evaluation import gpus, sandbox
from evaluation.errors import SandboxError
from portal.control import versions
from portal.outages import records
from portal.runs import presence
from portal.runs.presence import Said
from portal.site_checks import of_machine, of_services, of_settings, of_workers
from portal.site_checks.of_services import HubAnswer
from portal.transparency import keys

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def hub(monkeypatch: pytest.MonkeyPatch) -> Callable[[HubAnswer | None], None]:
    """The hub's answer: by default as it should be."""

    def answers(answer: HubAnswer | None) -> None:
        monkeypatch.setattr(of_services, "hub_answer", lambda: answer)

    monkeypatch.setattr(of_services, "get_token", lambda: "hf_token")
    monkeypatch.setattr(of_services.constants, "HF_HUB_OFFLINE", False)
    answers(HubAnswer(200, timedelta()))
    return answers


def ids(found: Iterator[CheckMessage] | list[CheckMessage]) -> list[str | None]:
    messages = list(found)
    assert all(message.hint for message in messages)
    return [message.id for message in messages]


def said(release: str = "", waits: str = "") -> Said:
    return Said(timezone.now(), ("evaluate",), release or versions.release(), "8 cores", waits)


def test_a_site_in_order_has_nothing_to_mend(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "check", lambda _: None)
    monkeypatch.setattr(gpus, "visible", lambda: ("GPU-1",))
    registry = checks.registry.CheckRegistry()
    monkeypatch.setattr(checks, "register", registry.register)
    monkeypatch.setattr(checks, "run_checks", registry.run_checks)
    monkeypatch.setattr(checks, "tag_exists", registry.tag_exists)
    presence.beat("machine:1", (), said())
    records.leases_count()
    output = StringIO()
    call_command("check", tags=["site"], fail_level="WARNING", stdout=output, stderr=output)
    assert "sandbox" in output.getvalue() and "no issues" in output.getvalue()


def test_the_settings_of_a_public_site_are_held_together(settings: Any) -> None:
    settings.DEBUG = False
    settings.SITE_URL, settings.ALLOWED_HOSTS = "http://board.example.org", ["localhost"]
    settings.SECURE_SSL_REDIRECT, settings.TRUST_PROXY, settings.SECRET_KEY = True, False, "short"
    assert ids(of_settings.check_settings()) == ["site.E001", "site.E003", "site.W004", "site.W005"]
    settings.DEBUG = True
    assert "site.E002" in ids(of_settings.check_settings())
    settings.SITE_URL = "http://127.0.0.1:8000"
    assert ids(of_settings.check_settings()) == []


def test_a_setting_that_is_misspelt_is_named(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALUATION_PRECISON", "bf16")
    (told,) = [one for one in of_settings.found() if one.id == "site.W006"]
    assert told.msg.startswith("The variable EVALUATION_PRECISON is no setting; EVALUATION_PRECISION is one")
    monkeypatch.setenv("EVALUATION_PRECISION", "bf16")
    assert "site.W006" not in ids(of_settings.found())


def test_a_storage_that_cannot_be_written_is_an_error(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {
            "BACKEND": "portal.uploads.whole_files.WholeFileStorage",
            "OPTIONS": {"location": tmp_path / "file" / "storage"},
        },
    }
    assert ids(of_services.storage()) == ["site.E013"]


def test_a_machine_with_a_key_of_its_own_is_told(settings: Any) -> None:
    assert not ids(of_services.key()), "nothing is sealed yet"
    keys.rotate()
    assert not ids(of_services.key())
    settings.SECRET_KEY = "made by this machine for itself"
    assert ids(of_services.key()) == ["site.E021"]


def test_the_probe_of_the_storage_leaves_nothing(storage: Path) -> None:
    assert ids(of_services.storage()) == []
    assert not [path for path in storage.rglob("*") if path.is_file()]


def test_what_does_not_answer_is_named(settings: Any, tmp_path: Path, hub: Any) -> None:
    settings.REDIS_URL = f"unix://{tmp_path}/nobody.sock"
    (away,) = of_services.broker()
    assert away.id == "site.E012" and "No such file" in away.msg
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    assert ids(of_services.mail()) == ["site.E017"]
    hub(None)
    assert ids(of_services.hub()) == ["site.W018"]
    hub(HubAnswer(401, None))
    assert ids(of_services.hub()) == ["site.E019"]


def test_a_machine_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch, hub: Any) -> None:
    def no_sandbox(languages: object) -> None:
        raise SandboxError("there is no bubblewrap")

    monkeypatch.setattr(sandbox, "check", no_sandbox)
    assert ids(of_machine.programs()) == ["site.W030"]
    monkeypatch.setattr(gpus, "visible", lambda: ("GPU-1",))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert ids(of_machine.gpu()) == ["site.E031"]
    hub(HubAnswer(200, timedelta(minutes=3)))
    assert ids(of_machine.clock()) == ["site.W035"]


def test_workers_that_are_not_there_of_another_release_or_held_are_told() -> None:
    assert ids(of_workers.workers()) == ["site.W040"]
    presence.beat("machine:1", (), said(release="0.0.1 (wire 1)"))
    presence.beat("machine:2", (), said(waits="machine:2 drained: new driver"))
    assert ids(of_workers.workers()) == ["site.W041", "site.W042"]
    assert ids(of_workers.scheduler()) == ["site.W043"]


def test_other_commands_do_not_pay_for_it() -> None:
    assert not checks.tag_exists("site", include_deployment_checks=True)
