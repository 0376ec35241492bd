"""What the API's tests share: a client for each person who may ask."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from portal.accounts.models import ApiToken, Membership, User, personal_team
from tests.portal import factories


@dataclass(frozen=True)
class Api:
    """One person's client, by token, or nobody's."""

    token: str | None = None
    client: Client = field(default_factory=Client)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """`body` is sent as JSON. Headers are named with underscores."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token is not None:
            given.setdefault("Authorization", f"Bearer {self.token}")
        content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        kind = given.pop("Content-Type", "application/json" if content else "")
        return self.client.generic(method, f"/api/v1/{path}", content, content_type=kind, headers=given)

    def get(self, path: str, **headers: str) -> Any:
        return self.call("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.call("POST", path, body, **headers)

    def patch(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.call("PATCH", path, body, **headers)

    def delete(self, path: str, **headers: str) -> Any:
        return self.call("DELETE", path, **headers)

    def send_parts(self, method: str, path: str, parts: dict[str, Any], **headers: str) -> Any:
        """The request as multipart form data; values are texts or files."""
        from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

        content = encode_multipart(BOUNDARY, parts)
        return self.call(method, path, content, Content_Type=MULTIPART_CONTENT, **headers)

    def submit(self, **parts: Any) -> Any:
        """Send a sound submission as multipart form data, but for the parts that are named."""
        factories.base_model()
        return self.send_parts(
            "POST", "submissions/", {"metadata": metadata(), **factories.uploads(), **parts}
        )


def fields(**changes: Any) -> dict[str, Any]:
    """The fields of a sound submission, without files."""
    return {
        "challenge": "finance",
        "base_model": "example/tiny-llama",
        "method": "FedAvg",
        "not_trained_on_test_items": True,
        **changes,
    }


def metadata(**changes: Any) -> str:
    return json.dumps(fields(**changes))


def texts() -> dict[str, str]:
    """The small files as text."""
    return {
        "adapter_config": factories.config_bytes().decode(),
        "pyproject": factories.PYPROJECT.decode(),
    }


def finished_upload(user: User, content: bytes | None = None) -> str:
    """The id of an upload whose bytes have all come."""
    sent = factories.adapter_bytes() if content is None else content
    api = Api(ApiToken.issue(user=user, name="upload")[1])
    tus = {"Tus_Resumable": "1.0.0", "Content_Type": "application/offset+octet-stream"}
    created = api.post("uploads/", sent, Upload_Length=str(len(sent)), **tus)
    assert created.status_code == 201, created.content
    return str(created["Location"]).rstrip("/").rpartition("/")[2]


@pytest.fixture(autouse=True)
def fresh_rates(db: None) -> None:
    """No test pays for the requests of another."""
    cache.clear()


def client_of(user: User) -> Api:
    return Api(ApiToken.issue(user=user, name="test")[1])


@pytest.fixture
def api(owner: User) -> Api:
    return client_of(owner)


@pytest.fixture
def teammate(owner: User) -> Api:
    """A member of the owner's team."""
    mate = factories.user("mate")
    Membership.objects.create(team=personal_team(owner), user=mate)
    return client_of(mate)


@pytest.fixture
def other(stranger: User) -> Api:
    return client_of(stranger)


@pytest.fixture
def staff(reviewer: User) -> Api:
    return client_of(reviewer)


@pytest.fixture
def nobody(db: None) -> Api:
    return Api()
