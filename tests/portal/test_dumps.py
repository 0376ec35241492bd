"""Dumps of all public data, and mirrors that are made from them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from evaluation.rules.challenges import CHALLENGES
from portal.accounts.models import User
from portal.dumps import writing
from portal.dumps.manifest import Manifest
from portal.dumps.mirroring import look_again
from portal.dumps.models import Dump, Mirror
from portal.dumps.writing import keep_dump
from portal.intake.services import withdraw
from portal.review.models import Decision
from portal.review.services import decide
from portal.transparency.models import Head
from portal.transparency.writing import write_due
from tests.leaderboard.test_items import answered, fifty
from tests.portal import factories

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def no_mirror() -> Iterator[None]:
    look_again()
    yield
    look_again()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "dump"


def dumped(folder: Path) -> dict[str, Any]:
    call_command("dump", str(folder), stdout=StringIO())
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return manifest


def boards(client: Client) -> dict[str, Any]:
    paths = [
        f"/api/v1/leaderboards/{slug}/{query}" for slug in CHALLENGES for query in ("", "?show=declared")
    ]
    return {path: client.get(path).json() for path in paths}


def answers_of(client: Client, entry: int) -> list[dict[str, Any]]:
    response: Any = client.get(f"/entries/{entry}/items/fpb.parquet")
    content = b"".join(response.streaming_content)
    rows: list[dict[str, Any]] = pyarrow.parquet.read_table(pyarrow.BufferReader(content)).to_pylist()
    return rows


def emptied() -> None:
    call_command("flush", interactive=False, verbosity=0)


def test_the_manifest_tells_digests_rows_protocols_and_the_logs_head(owner: User, folder: Path) -> None:
    answered(owner, fifty())
    write_due()
    manifest = dumped(folder)
    for file in manifest["files"]:
        path = folder / file["name"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == file["sha256"]
        assert pyarrow.parquet.read_metadata(path).num_rows == file["rows"]
    rows = {file["name"]: file["rows"] for file in manifest["files"]}
    assert (rows["entries.parquet"], rows["scores.parquet"], rows["items-finance.parquet"]) == (1, 3, 150)
    assert manifest["protocols"]["1"]["finance"] == ["fpb", "fiqa", "tfns"]
    head = Head.objects.latest("size")
    assert manifest["log_head"]["envelope"] == head.envelope
    assert Manifest.parse(json.dumps(manifest).encode()).to_json() == manifest


def test_nothing_private_is_in_a_dump(owner: User, reviewer: User, folder: Path) -> None:
    factories.published(owner, method="told")
    factories.evaluated(owner, method="unpublished secret")
    withdraw(factories.published(owner, method="taken back"))
    gone = factories.published(owner, method="disqualified")
    decide(submission=gone, reviewer=reviewer, action=Decision.Action.DISQUALIFY, reason="A rule.")
    dumped(folder)
    content = "".join(
        str(pyarrow.parquet.read_table(path).to_pylist()) for path in sorted(folder.glob("*.parquet"))
    )
    assert "told" in content and "A rule." in content
    for private in ("unpublished secret", "taken back", "reviewer", owner.email, "password"):
        assert private not in content, private


@pytest.mark.slow("invents a site, empties the database and fills it again")
def test_a_mirror_has_the_same_boards_entries_and_answers(
    client: Client, as_owner: Client, owner: User, folder: Path
) -> None:
    call_command("seed", entries=12, beside_real_entries=True, stdout=StringIO())
    made = answered(owner, fifty())
    before = boards(client)
    sizes = {path: len(board["results"]) for path, board in before.items()}
    assert sizes["/api/v1/leaderboards/code/"] > 1 and sum(sizes.values()) > 12, sizes
    answers = answers_of(client, made.pk)
    changes = client.get("/changes/").content.count(b"/entries/")
    dumped(folder)
    with pytest.raises(CommandError, match="not empty: it has users"):
        call_command("import_dump", str(folder), stdout=StringIO())
    emptied()
    call_command("import_dump", str(folder), stdout=StringIO())
    after = boards(client)
    assert {path for path in before if before[path] != after[path]} == set()
    page = client.get(f"/entries/{made.pk}/").content.decode()
    assert "Mirror</strong> of <a" in page and made.method in page
    assert answers_of(client, made.pk) == answers
    assert client.get("/changes/").content.count(b"/entries/") == changes > 10
    for path in ("/submit/", "/accounts/login/", "/contact/"):
        refused = client.post(path, {"text": "x"})
        assert refused.status_code == 405 and "read-only mirror" in refused.content.decode()
    refused = client.post("/api/v1/submissions/", {}, content_type="application/json")
    assert refused.status_code == 405 and refused.json()["type"].endswith("read_only_mirror")
    with pytest.raises(CommandError, match="not empty"):
        call_command("import_dump", str(folder), stdout=StringIO())


def test_a_file_that_was_changed_is_not_imported(owner: User, folder: Path) -> None:
    factories.published(owner)
    dumped(folder)
    emptied()
    path = folder / "scores.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(CommandError, match=r"scores\.parquet is not the file"):
        call_command("import_dump", str(folder), stdout=StringIO())
    assert not User.objects.exists() and not Mirror.objects.exists()


def test_the_site_offers_the_last_dumps(
    client: Client, owner: User, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    assert "No dump yet" in client.get("/data/").content.decode()
    factories.published(owner)
    monkeypatch.setattr(writing, "KEPT", 1)
    first = keep_dump()
    Dump.objects.update(created_at="2026-01-01T00:00:00Z", folder="dumps/2026-01-01T000000Z")
    second = keep_dump()
    assert Dump.objects.get() == second
    page = client.get("/data/").content.decode()
    stamp = second.folder.rpartition("/")[2]
    assert f"/data/{stamp}/scores.parquet" in page and second.manifest["files"][0]["sha256"] in page
    latest = client.get("/data/latest/scores.parquet", follow=True)
    content = b"".join(latest.streaming_content)  # type: ignore[attr-defined]
    assert len(pyarrow.parquet.read_table(pyarrow.BufferReader(content))) == 3
    assert client.get(f"/data/{first.folder.rpartition('/')[2]}/nothing.parquet").status_code == 404


def test_a_mirror_is_made_from_an_address(owner: User, live_server: Any, client: Client) -> None:
    made = factories.published(owner)
    keep_dump()
    dump = Dump.objects.values().get()
    emptied()
    Dump.objects.create(**dump)  # the site's own, from whose storage the files still come
    call_command("import_dump", f"{live_server.url}/data/latest/", stdout=StringIO())
    assert client.get(f"/entries/{made.pk}/").status_code == 200
