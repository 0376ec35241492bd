"""The description in OpenAPI, and the page that shows it."""

from __future__ import annotations

import gzip
import re
import subprocess
from collections import Counter
from html import unescape
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from django.core.management import call_command
from django.test import Client
from drf_spectacular.generators import SchemaGenerator

pytestmark = pytest.mark.django_db


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    paths = SchemaGenerator().get_schema(request=None, public=True)["paths"]
    return [(path, method, operation) for path, item in paths.items() for method, operation in item.items()]


def test_the_schema_has_no_warnings() -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", file="/dev/null")


def test_every_operation_is_tagged_and_described() -> None:
    for path, method, operation in operations():
        assert operation.get("tags") and operation.get("description"), (method, path)


def test_every_refusal_is_described_as_a_problem() -> None:
    for path, method, operation in operations():
        refusals = {code: r for code, r in operation["responses"].items() if code >= "400"}
        assert refusals, (method, path)
        for code, refusal in refusals.items():
            assert set(refusal["content"]) == {"application/problem+json"}, (method, path, code)


def test_new_submissions_have_examples() -> None:
    (post,) = [o for path, method, o in operations() if (path, method) == ("/api/v1/submissions/", "post")]
    assert len(post["requestBody"]["content"]["application/json"]["examples"]) == 3


def test_the_reference_has_every_operation_and_object_and_no_script_of_its_own(client: Client) -> None:
    response = client.get("/api/docs/")
    html = response.content.decode()
    assert response.status_code == 200
    for path, method, operation in operations():
        assert f'id="{operation["operationId"].replace("_", "-")}"' in html, (method, path)
    anchors = re.findall(r'href="#([^"]+)"', html)
    assert {"object-Submission", "object-Problem"} <= set(anchors)
    assert [anchor for anchor in anchors if f'id="{anchor}"' not in html] == []
    assert re.findall(r'<script src="([^"]*)"', html) == [
        "/static/portal/site.js",
        "/static/vendor/htmx/htmx.min.js",
    ]


def test_its_anchors_are_each_of_one_place(client: Client) -> None:
    anchors = Counter(re.findall(r' id="([^"]+)"', client.get("/api/docs/").content.decode()))
    assert not [anchor for anchor, count in anchors.items() if count > 1]


def test_the_reference_is_light(client: Client) -> None:
    assert len(gzip.compress(client.get("/api/docs/").content)) < 40_000


def test_its_commands_run_as_they_stand(live_server: Any, tmp_path: Path) -> None:
    """Those that read what everybody may read; the others differ in a token and a number alone."""
    with urlopen(f"{live_server.url}/api/docs/") as page:  # noqa: S310 -- loopback
        commands = re.findall(r'<code id="curl-([^"]+)">(.*?)</code>', page.read().decode(), re.DOTALL)
    assert len(commands) == len(operations())
    for name, command in commands:
        assert "SITE" not in command, name
    wanted = {"challenges-list", "challenges-retrieve", "findings-retrieve", "queue-retrieve", "leaderboard"}
    public = [unescape(command) for name, command in commands if name in wanted]
    ran = subprocess.run(
        ["sh", "-ec", "\n".join(public)], capture_output=True, text=True, timeout=120, cwd=tmp_path
    )
    assert ran.returncode == 0, ran.stderr
    assert "adapter.shape" in ran.stdout and '"protocol"' in ran.stdout
