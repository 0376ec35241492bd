"""The environment: what is wrong is said at once, and the defaults are safe."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client

import manage
from portal.environment import PROJECT_ROOT, Environment, read_environment


def test_every_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "sqlite:///db")
    monkeypatch.setenv("EVALUATION_LIMIT", "many")
    monkeypatch.setenv("SITE_URL", "example.org")
    with pytest.raises(ImproperlyConfigured) as caught:
        read_environment()
    assert all(name in str(caught.value) for name in ("DATABASE_URL", "EVALUATION_LIMIT", "SITE_URL"))


def test_the_secret_key_is_made_once_and_kept_private(tmp_path: Path) -> None:
    environment = Environment(var_dir=tmp_path, secret_key="")
    key = environment.resolve_secret_key()
    assert len(key) > 50 and key == environment.resolve_secret_key()
    assert stat.S_IMODE((tmp_path / "secret_key").stat().st_mode) == 0o600


def test_production_defaults_pass_djangos_deployment_checks(tmp_path: Path) -> None:
    production = {
        name: value for name, value in os.environ.items() if name not in ("DEBUG", "HTTPS", "SECRET_KEY")
    }
    production |= {"VAR_DIR": str(tmp_path), "SITE_URL": "https://board.example.org"}
    production |= {"ALLOWED_HOSTS": "board.example.org", "TRUST_PROXY": "1"}
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=PROJECT_ROOT,
        env=production,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["manage.py", "--help"],
        ["manage.py", "check"],
        ["-c", "from mypy_django_plugin.django import context; context.DjangoContext('portal.settings')"],
    ],
    ids=["--help", "check", "the plugin of mypy"],
)
def test_what_reads_settings_alone_starts_nothing_and_writes_nothing(
    tmp_path: Path, command: list[str]
) -> None:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=PROJECT_ROOT,
        env=without_services(tmp_path),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", ["", "help migrate", "migrate --help", "--version", "check --deploy"])
def test_a_question_about_the_site_needs_no_service(words: str) -> None:
    assert not manage.uses_services(words.split())


@pytest.mark.parametrize("words", ["migrate", "serve --port 8123", "demo", "shell", "createsuperuser"])
def test_a_command_that_may_use_the_database_gets_it(words: str) -> None:
    assert manage.uses_services(words.split())


def without_services(var_dir: Path) -> dict[str, str]:
    """The environment of somebody who configured nothing but VAR_DIR: servers would have their data there."""
    configured = ("DATABASE_URL", "REDIS_URL", "EMBEDDED_STATE_DIR")
    return {name: value for name, value in os.environ.items() if name not in configured} | {
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "VAR_DIR": str(var_dir),
    }


def test_the_web_process_never_imports_torch() -> None:
    program = (
        "import sys, django; django.setup();"
        "from django.urls import get_resolver; get_resolver().url_patterns; import portal.wsgi;"
        "heavy = ('torch', 'transformers', 'peft', 'flwr', 'vllm');"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT_ROOT, env=os.environ, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.django_db
def test_every_page_has_a_policy_without_inline_scripts(client: Client) -> None:
    policy = client.get("/")["Content-Security-Policy"]
    assert "default-src 'self'" in policy and "unsafe-inline" not in policy and "unsafe-eval" not in policy


@pytest.mark.django_db
def test_the_probes_answer(client: Client) -> None:
    assert client.get("/healthz").content == b"ok\n"
    assert client.get("/readyz").json() == {"database": True, "broker": True, "migrations": True}


def test_no_migration_is_missing(db: None) -> None:
    from django.core.management import call_command

    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


@pytest.mark.django_db
def test_the_readiness_probe_names_a_broker_that_is_away(
    client: Client, settings: Any, tmp_path: Path
) -> None:
    settings.REDIS_URL = f"unix://{tmp_path}/nobody.sock"
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json() == {"database": True, "broker": False, "migrations": True}
