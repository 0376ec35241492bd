"""Roles give the least that their work needs, by a command, a migration and the groups that it made."""

from __future__ import annotations

from importlib import import_module
from io import StringIO

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from portal.accounts.access import sees_all, trains_here
from portal.accounts.models import User
from portal.review.cases import may_decide
from tests.portal import factories

pytestmark = pytest.mark.django_db
migration = import_module("portal.review.migrations.0004_roles_rules_and_reasons")


@pytest.fixture(autouse=True)
def groups(db: None) -> None:
    """As the migration makes them, should another test have emptied the tables."""
    migration._fill(apps, None)


def give(name: str, role: str) -> User:
    factories.user(name)
    call_command("role", "give", name, role, stdout=StringIO())
    return User.objects.get(username=name)


@pytest.mark.parametrize(
    ("role", "decides", "sees", "trains"),
    [("reviewer", True, True, True), ("operator", False, True, True), ("editor", False, False, False)],
)
def test_each_role_has_what_its_work_needs(role: str, decides: bool, sees: bool, trains: bool) -> None:
    user = give("somebody", role)
    assert (may_decide(user), sees_all(user), trains_here(user)) == (decides, sees, trains)


def test_an_editor_writes_templates_and_reads_nothing_private(owner: User) -> None:
    made = factories.evaluated(owner)
    client = Client()
    client.force_login(give("editor", "editor"))
    assert client.get("/admin/review/reasontemplate/add/").status_code == 200
    assert client.get("/admin/submissions/submission/").status_code == 403
    assert client.get(f"/submissions/{made.pk}/").status_code == 404
    assert client.get(reverse("baselines:new")).status_code == 403


def test_an_operator_reads_and_does_not_write_the_rules() -> None:
    client = Client()
    client.force_login(give("operator", "operator"))
    for path in (
        "submissions/submission/",
        "outages/outage/",
        "runs/dataregistration/",
        "review/twopersonrule/",
    ):
        assert client.get(f"/admin/{path}").status_code == 200
    assert client.get("/admin/review/twopersonrule/add/").status_code == 403
    assert client.get("/admin/accounts/user/").status_code == 403


def test_a_role_is_taken_away_with_staffs_pages() -> None:
    user = give("somebody", "reviewer")
    said = StringIO()
    call_command("role", "take", "somebody", "reviewer", stdout=said)
    user = User.objects.get(pk=user.pk)
    assert not user.is_staff and not may_decide(user) and "no role" in said.getvalue()
    with pytest.raises(CommandError, match="no active account"):
        call_command("role", "give", "nobody", "reviewer")


def test_who_was_staff_keeps_what_they_had() -> None:
    reads, decides = (factories.user(name, is_staff=True) for name in ("reads", "decides"))
    decides.user_permissions.add(Permission.objects.get(codename="change_submission"))
    migration._fill(apps, None)
    reads, decides = (User.objects.get(pk=user.pk) for user in (reads, decides))
    assert sees_all(reads) and trains_here(reads) and not may_decide(reads)
    assert may_decide(decides)
