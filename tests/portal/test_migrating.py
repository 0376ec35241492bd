"""One process applies migrations, others wait; nothing is served or begun by code without them."""

from __future__ import annotations

import threading
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import call_command
from django.db import ProgrammingError, connection, connections
from django.test import Client

import manage
from portal.control import unready, versions
from portal.control.models import Release
from portal.management.commands import migrate
from portal.runs import services as runs
from tests.portal import factories

LATER = "INSERT INTO django_migrations (app, name, applied) VALUES ('runs', '9999_of_tomorrow', now())"
WITHOUT = "DELETE FROM django_migrations WHERE app = 'control'"


@pytest.fixture(autouse=True)
def unknown_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that knows that all are applied looks no more."""
    monkeypatch.setattr(unready._Known, "lacking", None)
    monkeypatch.setattr(unready._Known, "until", 0.0)
    monkeypatch.setattr(unready, "_LOOKS_SECONDS", 0.0)


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.django_db(transaction=True)
def test_a_second_process_waits_until_the_first_has_applied_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "_TRY_SECONDS", 0.01)
    output, tried = StringIO(), threading.Event()
    monkeypatch.setattr(migrate, "time", SimpleNamespace(sleep=lambda _: tried.set()))

    def second() -> None:
        try:
            call_command("migrate", stdout=output)
        finally:
            connections.close_all()

    first = connection.copy()
    with first.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [migrate.LOCK])
        thread = threading.Thread(target=second)
        thread.start()
        assert tried.wait(60)
        assert "Another process applies migrations" in output.getvalue()
        assert "No migrations to apply" not in output.getvalue()
    first.close()
    thread.join(60)
    assert "No migrations to apply" in output.getvalue()


@pytest.mark.django_db
@pytest.mark.parametrize("lacks", [True, False])
def test_a_command_on_a_database_without_them_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, *, lacks: bool
) -> None:
    def command(_: object) -> None:
        raise ProgrammingError("relation does not exist")

    monkeypatch.setattr("django.core.management.execute_from_command_line", command)
    monkeypatch.setattr(manage, "uses_services", lambda _: False)
    if lacks:
        execute(WITHOUT)
    with pytest.raises(SystemExit if lacks else ProgrammingError) as said:
        manage.main()
    assert ("run manage.py migrate first" in str(said.value)) is lacks


@pytest.mark.django_db
def test_the_web_process_serves_nothing_until_they_are_applied(client: Client) -> None:
    execute(WITHOUT)
    probe = client.get("/readyz")
    assert probe.status_code == 503 and probe.json()["migrations"] is False
    assert "manage.py migrate" in probe.json()["reason"]
    page = client.get("/queue/")
    assert page.status_code == 503 and page["Retry-After"] and b"being upgraded" in page.content
    answer = client.get("/api/v1/queue/")
    assert answer.status_code == 503 and answer["Content-Type"] == "application/problem+json"
    assert client.get("/healthz").status_code == 200
    execute(
        "INSERT INTO django_migrations (app, name, applied) "
        "VALUES ('control', '0001_orders_and_their_record', now())"
    )
    assert client.get("/readyz").status_code == 200 and client.get("/queue/").status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("other", [LATER, WITHOUT])
def test_nothing_is_claimed_where_code_and_database_do_not_fit(other: str) -> None:
    factories.submission(factories.user())
    assert versions.misfit() == ""
    execute(other)
    assert runs.claim(worker="w") is None
    execute("DELETE FROM django_migrations WHERE app = 'runs' AND name LIKE '9999%'")
    if other == LATER:
        assert runs.claim(worker="w")


@pytest.mark.django_db
def test_nor_by_a_release_that_did_not_migrate_it_last() -> None:
    factories.submission(factories.user())
    Release.objects.update_or_create(only=True, defaults={"name": "9.9.9 (wire 9)"})
    assert runs.claim(worker="w") is None and "9.9.9" in versions.misfit()
    call_command("migrate", verbosity=0)
    assert runs.claim(worker="w")


@pytest.mark.django_db
def test_an_older_release_does_not_call_a_later_database_its_own() -> None:
    Release.objects.update_or_create(only=True, defaults={"name": "9.9.9 (wire 9)"})
    execute(LATER)
    call_command("migrate", verbosity=0)
    found: Any = versions.recorded()
    assert found.name == "9.9.9 (wire 9)" and "later release" in versions.misfit()
