"""Backup and restore: the site that comes back is the one that was saved, and a damaged backup is none."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings as site
from django.core.cache import cache
from django.core.files.base import ContentFile, File
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from evaluation import rules
from leaderboard.reading import snapshots
from portal.accounts.models import User
from portal.discussion.models import Message
from portal.management.backups import folder, making
from portal.runs import services as runs
from portal.runs.models import Score
from portal.submissions.models import Submission
from portal.transparency.writing import write_due
from portal.uploads.models import Upload
from tests import own
from tests.portal import factories

pytestmark = pytest.mark.django_db(transaction=True)
ITEMS = b"".join(
    json.dumps({"id": number, "prompt": "2 + 2?", "completion": "4", "correct": number < 7}).encode() + b"\n"
    for number in range(10)
)


@pytest.fixture(autouse=True)
def var_dir(settings: Any, tmp_path: Path) -> Path:
    settings.VAR_DIR = tmp_path / "var"
    place_storage(settings, tmp_path / "storage")
    return tmp_path / "var"


def place_storage(settings: Any, location: Path) -> None:
    default = {"BACKEND": "portal.uploads.whole_files.WholeFileStorage", "OPTIONS": {"location": location}}
    settings.STORAGES = {**settings.STORAGES, "default": default}


def published(owner: User, seed: int, **changes: Any) -> Submission:
    sent = factories.files()
    content = factories.adapter_bytes(seed)
    files = type(sent)(BytesIO(content), len(content), sent.adapter_config, sent.config)
    made = factories.submission(owner, files=files, **changes)
    evaluation = runs.claim(worker="test")
    assert evaluation and evaluation.submission_id == made.pk
    for benchmark in rules.of(made.challenge, evaluation.protocol).benchmarks:
        scored = factories.score(benchmark, 7, 10)
        runs.record_score(evaluation, scored, items=File(BytesIO(ITEMS)))
    runs.succeed(evaluation, provenance={"precision": "fp32"})
    made.refresh_from_db()
    return factories.publish(made)


@pytest.fixture
def filled() -> Submission:
    owner = factories.user("owner")
    first = published(owner, 1, method="FedAvg")
    published(owner, 2, method="FedProx")
    Message.objects.create(
        submission=first, author=owner, from_reviewer=False, text="Thank you for the review."
    )
    write_due()
    return first


def backup(root: Path, *arguments: str) -> str:
    out = StringIO()
    call_command("backup", str(root), *arguments, stdout=out)
    return out.getvalue()


def integrity() -> str:
    """What the command says, problems included."""
    out = StringIO()
    try:
        call_command("check_integrity", stdout=out)
    except CommandError as error:
        return f"{out.getvalue()}{error}"
    return out.getvalue()


@contextmanager
def empty_site(settings: Any, place: Path) -> Iterator[None]:
    """Another database, another storage, and nothing remembered."""
    name, fresh = connection.settings_dict["NAME"], f"{connection.settings_dict['NAME']}_restored"
    forget()
    with connection.cursor() as cursor:
        cursor.execute(f'DROP DATABASE IF EXISTS "{fresh}"')
        cursor.execute(f'CREATE DATABASE "{fresh}" TEMPLATE template0')
    connection.close()
    connection.settings_dict["NAME"] = fresh
    before, var = settings.STORAGES, settings.VAR_DIR
    settings.VAR_DIR = place / "var"
    place_storage(settings, place / "storage")
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = name
        settings.STORAGES, settings.VAR_DIR = before, var
        forget()
        with connection.cursor() as cursor:
            cursor.execute(f'DROP DATABASE "{fresh}" WITH (FORCE)')


def forget() -> None:
    """As in a process that has just started, without a cache."""
    cache.clear()
    snapshots._known.clear()


def shown(entry: int) -> dict[str, bytes]:
    """What readers are given: board, entry, items, statements and log."""
    client = Client()
    addresses = (
        "/api/v1/leaderboards/finance/",
        f"/api/v1/entries/{entry}/statement/",
        "/api/v1/log/",
        "/.well-known/flowertune-log.json",
    )
    given = {}
    for address in addresses:
        answer = client.get(address)
        assert answer.status_code == 200, (address, answer.content)
        content = answer.content
        if "leaderboards" in address:
            told = json.loads(content)
            for changing in ("built_at", "generated_at"):
                told.pop(changing, None)
            content = json.dumps(told).encode()
        given[address] = content
    return given


def stored(location: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(location)): path.read_bytes() for path in location.rglob("*") if path.is_file()
    }


@pytest.mark.slow("a database is made, and filled twice")
def test_a_restored_site_is_the_one_that_was_saved(filled: Submission, settings: Any, tmp_path: Path) -> None:
    said = backup(tmp_path / "backups")
    assert "8 files" in said and "3 of them new" in said  # the single answers are alike
    before, files = shown(filled.pk), stored(tmp_path / "storage")
    [made] = folder.backups(tmp_path / "backups")
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "backups").rglob("*")} == {0}
    subprocess.run(["sha256sum", "--check", "--quiet", folder.SUMS], cwd=made.path, check=True)
    last = making.last_backup()
    assert last and last["path"] == str(made.path) and last["files"] == 8
    with empty_site(settings, tmp_path / "other"):
        out = StringIO()
        call_command("restore", str(tmp_path / "backups"), stdout=out)
        assert "are sound" in out.getvalue(), out.getvalue()
        assert shown(filled.pk) == before
        assert stored(tmp_path / "other" / "storage") == files
        assert (settings.VAR_DIR / "secret_key").read_text() == site.SECRET_KEY
        assert Message.objects.get().text == "Thank you for the review."
        # Triggers came back too, and numbers go on.
        assert published(User.objects.get(username="owner"), 3, method="FedAdam").pk > filled.pk
        with pytest.raises(CommandError, match="tables"):
            call_command("restore", str(tmp_path / "backups"))


def test_a_second_backup_copies_what_is_new_and_old_ones_can_go(filled: Submission, tmp_path: Path) -> None:
    root = tmp_path / "backups"
    backup(root)
    assert "8 files" in (said := backup_later(root)) and "0 of them new" in said
    published(User.objects.get(username="owner"), 3, method="FedAdam")
    default_storage.delete(str(Score.objects.order_by("pk").first().items))  # type: ignore[union-attr]
    with pytest.raises(CommandError, match=r"fpb\.jsonl is missing in storage"):
        backup_later(root, "--keep", "1")
    [left] = folder.backups(root)
    listed = {file.sha256 for file in left.files()}
    assert left.manifest()["missing"] and not list(left.damages())
    assert {path.name for path in root.glob("files/*/*")} == listed


def backup_later(root: Path, *arguments: str) -> str:
    """A backup of another second has another name."""
    *older, newest = folder.backups(root)
    newest.path.rename(root / f"2026-01-{len(older) + 1:02}T000000Z")
    return backup(root, *arguments)


@pytest.mark.parametrize("damage", ["flipped", "gone", "cut", "manifest"])
def test_a_damaged_backup_is_refused_before_anything_is_written(
    filled: Submission, settings: Any, tmp_path: Path, damage: str
) -> None:
    root = tmp_path / "backups"
    backup(root)
    [made] = folder.backups(root)
    file = sorted(root.glob("files/*/*"))[0]
    if damage == "flipped":
        content = file.read_bytes()
        file.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    elif damage == "gone":
        file.unlink()
    elif damage == "cut":
        os.truncate(made.path / folder.DUMP, 1000)
    else:
        text = (made.path / folder.MANIFEST).read_text()
        (made.path / folder.MANIFEST).write_text(text.replace("127.0.0.1", "127.0.0.2"))
    with empty_site(settings, tmp_path / "other"):
        with pytest.raises(CommandError, match="nothing was restored"):
            call_command("restore", str(root))
        assert not connection.introspection.table_names() and not (tmp_path / "other" / "storage").exists()


def test_a_backup_that_is_killed_is_none_and_the_next_one_clears_it_away(
    filled: Submission, tmp_path: Path
) -> None:
    root, var = tmp_path / "backups", tmp_path / "var"
    shutil.copytree(tmp_path / "storage", var / "storage")
    environment = os.environ | {"DATABASE_URL": database_url(), "VAR_DIR": str(var)}
    command = [sys.executable, "manage.py", "backup", str(root)]
    with psycopg.connect(database_url()) as other:
        other.execute("LOCK TABLE runs_score IN ACCESS EXCLUSIVE MODE")  # for which the dump waits
        running = subprocess.Popen(command, cwd=own.ROOT, env=environment)
        while not list(root.glob("*.part")):
            assert running.poll() is None
            time.sleep(0.02)
        with pytest.raises(CommandError, match="Another backup"):
            backup(root)
        running.kill()
        running.wait()
        assert folder.backups(root) == [] and list(root.glob("*.part"))
        with pytest.raises(CommandError, match="no backup"):
            call_command("restore", str(root), check_only=True)
    assert "8 files" in backup(root)
    assert not list(root.glob("*.part"))
    call_command("restore", str(root), check_only=True, stdout=StringIO())


def test_check_integrity_names_each_thing_that_is_wrong(filled: Submission, tmp_path: Path) -> None:
    assert "are sound" in integrity()
    young = default_storage.save("checkpoints/xx/young.safetensors", ContentFile(b"young"))
    old = default_storage.save("checkpoints/xx/old.safetensors", ContentFile(b"old"))
    os.utime(default_storage.path(old), (0, 0))
    said = integrity()
    assert f"orphan: {old}" in said and young not in said and "are sound" in said
    assert filled.checkpoint
    adapter = Path(default_storage.path(str(filled.checkpoint.file)))
    adapter.write_bytes(adapter.read_bytes()[:-1] + b"!")
    cut, gone, garbled = (Path(score.items.path) for score in Score.objects.order_by("pk")[:3])
    cut.write_bytes(ITEMS.partition(b"\n")[2])
    gone.unlink()
    garbled.write_bytes(b"{")
    said = integrity()
    assert f"{filled.checkpoint.file}: damaged" in said
    assert "9 items, 6 right, 0 unscored, and the score has 10, 7, 0" in said
    assert f"{gone.name}: missing in storage" in said and "no longer in storage" in said
    assert said.count("problem: ") == 5 and "5 problems" in said


def test_what_is_deleted_while_a_backup_runs_is_no_problem(
    filled: Submission, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = default_storage.save("uploads/one", ContentFile(b"one"))
    complete = {"length": 3, "offset": 3, "sha256": "0" * 64, "completed_at": timezone.now()}
    Upload.objects.create(name="one", file=name, expires_at=timezone.now(), **complete)
    dump = making.programs.dump

    def deleted_after(path: Path, snapshot: str) -> None:
        dump(path, snapshot)
        with psycopg.connect(database_url()) as other:
            other.execute("DELETE FROM uploads_upload")
        default_storage.delete(name)

    monkeypatch.setattr(making.programs, "dump", deleted_after)
    assert "8 files" in backup(tmp_path / "backups")
    [made] = folder.backups(tmp_path / "backups")
    assert made.manifest()["deleted_meanwhile"] == [name] and not made.manifest()["missing"]


def database_url() -> str:
    given = connection.get_connection_params()
    return f"postgresql://{given['user']}@/{given['dbname']}?host={given['host']}"
