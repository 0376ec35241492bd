"""What the portal's tests share: storage of their own, a quiet queue, and people."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.files.storage import default_storage
from django.test import Client

from portal.accounts.models import ApiToken, User
from tests.portal import factories


@pytest.fixture(autouse=True)
def storage(settings: Any, tmp_path: Path) -> Path:
    """Stored files go to a folder of the test."""
    folder = tmp_path / "storage"
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {
            "BACKEND": "portal.uploads.whole_files.WholeFileStorage",
            "OPTIONS": {"location": folder},
        },
    }
    assert default_storage.path("x").startswith(str(folder))
    return folder


@pytest.fixture(autouse=True)
def quick_passwords(settings: Any) -> None:
    """Passwords of tests need no slow hash."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def groups(db: None) -> None:
    """Roles and rules as the migration makes them, should another test have emptied the tables."""
    import_module("portal.review.migrations.0004_roles_rules_and_reasons")._fill(apps, None)


@pytest.fixture
def owner(db: None) -> User:
    return factories.user("owner")


@pytest.fixture
def stranger(db: None) -> User:
    return factories.user("stranger")


@pytest.fixture
def reviewer(db: None) -> User:
    return factories.user("reviewer", is_staff=True, is_superuser=True)


@pytest.fixture
def token(owner: User) -> str:
    return ApiToken.issue(user=owner, name="test")[1]


@pytest.fixture
def as_owner(owner: User) -> Client:
    client = Client()
    client.force_login(owner)
    return client


@pytest.fixture
def as_stranger(stranger: User) -> Client:
    client = Client()
    client.force_login(stranger)
    return client


@pytest.fixture
def as_reviewer(reviewer: User) -> Client:
    client = Client()
    client.force_login(reviewer)
    return client
