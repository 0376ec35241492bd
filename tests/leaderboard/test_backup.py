"""Backup and restore: the site that comes back is the one that was saved, and a damaged backup is none."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings as site
from django.core.files.base import ContentFile, File
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from evaluation import rules
from portal.accounts.models import User
from portal.discussion.models import Message
from portal.environment import read_environment
from portal.intake import services as intake
from portal.intake.drafts import Files
from portal.management.backups import contents, making
from portal.management.backups.bucket import Bucket
from portal.management.backups.contents import Backup
from portal.management.backups.folder import Folder
from portal.runs import services as runs
from portal.runs.items import ItemsMissingError, open_items
from portal.runs.models import Evaluation, Score
from portal.submissions.models import Submission
from portal.transparency.writing import write_due
from portal.uploads.models import Upload
from tests import buckets, own
from tests.leaderboard.sites import empty_site, folder, place_storage
from tests.portal import factories

pytestmark = pytest.mark.django_db(transaction=True)


def items(right: int) -> bytes:
    return b"".join(
        json.dumps({"id": number, "prompt": "2 + 2?", "completion": "4", "correct": number < right}).encode()
        + b"\n"
        for number in range(10)
    )


ITEMS = items(7)


@pytest.fixture(autouse=True)
def var_dir(settings: Any, tmp_path: Path) -> Path:
    settings.VAR_DIR = tmp_path / "var"
    place_storage(settings, folder(tmp_path / "storage"))
    return tmp_path / "var"


def of_seed(seed: int) -> Files:
    sent, content = factories.files(), factories.adapter_bytes(seed)
    return Files(BytesIO(content), len(content), sent.adapter_config, sent.config)


def published(owner: User, seed: int, **changes: Any) -> Submission:
    made = factories.submission(owner, files=of_seed(seed), **changes)
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


def backup(root: Path | str, *arguments: str) -> str:
    out = StringIO()
    call_command("backup", str(root), *arguments, stdout=out)
    return out.getvalue()


def backups(root: Path) -> list[Backup]:
    place = Folder(root)
    found = []
    for name in place.names():
        with place.read(name) as backup:
            found.append(backup)
    return found


def integrity() -> str:
    """What the command says, problems included."""
    out = StringIO()
    try:
        call_command("check_integrity", stdout=out)
    except CommandError as error:
        return f"{out.getvalue()}{error}"
    return out.getvalue()


def shown(entry: int) -> dict[str, bytes]:
    """What readers are given: board, entry, items, statements and log."""
    client = Client()
    addresses = (
        "/api/v1/leaderboards/finance/",
        f"/api/v1/entries/{entry}/exports/",
        f"/entries/{entry}/items/fpb.jsonl",
        f"/api/v1/entries/{entry}/statement/",
        "/api/v1/log/",
        "/.well-known/flowertune-log.json",
    )
    given = {}
    for address in addresses:
        answer = client.get(address)
        content = answer.getvalue()
        answer.close()
        assert answer.status_code == 200, (address, content)
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
    [made] = backups(tmp_path / "backups")
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "backups").rglob("*")} == {0}
    subprocess.run(["sha256sum", "--check", "--quiet", contents.SUMS], cwd=made.path, check=True)
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
    with pytest.raises(CommandError, match=r"fpb-\w+\.jsonl is missing in storage"):
        backup_later(root, "--keep", "1")
    [left] = backups(root)
    listed = {file.sha256 for file in left.files()}
    assert left.manifest()["missing"] and not list(left.damages(Folder(root).opened))
    assert {path.name for path in root.glob("files/*/*")} == listed


def backup_later(root: Path, *arguments: str) -> str:
    """A backup of another second has another name."""
    *older, newest = backups(root)
    newest.path.rename(root / f"2026-01-{len(older) + 1:02}T000000Z")
    return backup(root, *arguments)


@pytest.fixture
def s3(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A server with the buckets `site`, where the site's files are, `restored` and `backups`."""
    with buckets.s3_server() as endpoint:
        for name, value in (buckets.SETTINGS | {"s3_endpoint_url": endpoint, "s3_bucket": "site"}).items():
            monkeypatch.setenv(name.upper(), value)
        place_storage(settings, read_environment().storage())
        client = Bucket.of("backups", "", "", read_environment()).client
        for name in ("site", "restored", "backups"):
            client.create_bucket(Bucket=name)
        yield client


def objects(client: Any, bucket: str) -> dict[str, bytes]:
    listed = client.list_objects_v2(Bucket=bucket).get("Contents", [])
    return {one["Key"]: client.get_object(Bucket=bucket, Key=one["Key"])["Body"].read() for one in listed}


@pytest.mark.slow("a database is made, and filled twice")
def test_a_site_in_a_bucket_comes_back_from_another_bucket(
    s3: Any, filled: Submission, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = "s3://backups/of/site"
    for part in ("2026-01-01T000000Z/manifest.json", "2026-01-02T000000Z/SHA256SUMS"):
        s3.put_object(Bucket="backups", Key=f"of/site/{part}", Body=b"")
    s3.put_object(Bucket="backups", Key="of/site/2026-01-02T000000Z/files.jsonl", Body=b"")
    said = backup(target, "--keep", "1")
    assert "8 files" in said and "3 of them new" in said and "Removed: 2026-01-02" in said
    kept = objects(s3, "backups")
    assert len({key for key in kept if key.startswith("of/site/files/")}) == 3
    assert not [key for key in kept if "2026-01-0" in key]  # broken off, and one too many
    before, files = shown(filled.pk), objects(s3, "site")
    time.sleep(1)  # another second, another name
    assert "0 of them new" in backup(target)
    with pytest.raises(CommandError, match="own storage"):
        backup("s3://site/backups")
    monkeypatch.setenv("S3_BUCKET", "none-of-this-name")
    with (
        empty_site(settings, tmp_path / "none", read_environment().storage()),
        pytest.raises(CommandError, match="NoSuchBucket"),
    ):
        call_command("restore", target)
    monkeypatch.setenv("S3_BUCKET", "restored")
    with empty_site(settings, tmp_path / "other", read_environment().storage()):
        out = StringIO()
        call_command("restore", target, stdout=out)
        assert "are sound" in out.getvalue(), out.getvalue()
        assert shown(filled.pk) == before
        assert objects(s3, "restored") == files
    damaged = next(key for key in kept if key.startswith("of/site/files/"))
    s3.put_object(Bucket="backups", Key=damaged, Body=b"!")
    missing = next(key for key in kept if key.startswith("of/site/files/") and key != damaged)
    s3.delete_object(Bucket="backups", Key=missing)
    with pytest.raises(CommandError, match="is damaged") as refused:
        call_command("restore", target, check_only=True)
    assert f"{missing.rpartition('/')[2]} cannot be read: not in the bucket" in str(refused.value)


@pytest.mark.parametrize("damage", ["flipped", "gone", "cut", "manifest"])
def test_a_damaged_backup_is_refused_before_anything_is_written(
    filled: Submission, settings: Any, tmp_path: Path, damage: str
) -> None:
    root = tmp_path / "backups"
    backup(root)
    [made] = backups(root)
    file = sorted(root.glob("files/*/*"))[0]
    if damage == "flipped":
        content = file.read_bytes()
        file.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    elif damage == "gone":
        file.unlink()
    elif damage == "cut":
        os.truncate(made.path / contents.DUMP, 1000)
    else:
        text = (made.path / contents.MANIFEST).read_text()
        (made.path / contents.MANIFEST).write_text(text.replace("127.0.0.1", "127.0.0.2"))
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
        assert backups(root) == [] and list(root.glob("*.part"))
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


def test_check_integrity_names_what_was_written_past_the_triggers(filled: Submission) -> None:
    shown(filled.pk)  # the board and the log say what was scored
    changed, flipped = Score.objects.order_by("pk")[:2]
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE runs_score DISABLE TRIGGER USER")
        cursor.execute("UPDATE runs_score SET correct = 9, value = 0.9 WHERE id = %s", [changed.pk])
        cursor.execute(
            "UPDATE runs_score SET correct_bits = %s, scored_bits = %s WHERE id = %s",
            [b"\xff\x00", b"\xff\xc0", flipped.pk],
        )
        cursor.execute("ALTER TABLE runs_score ENABLE TRIGGER USER")
    said = integrity()
    assert "10 items, 7 right, 0 unscored, and the score has 10, 9, 0" in said
    assert f"{flipped.items.name}, of score {flipped.pk}: other items are right than those of" in said
    assert f"the bits of score {flipped.pk} have 8 right of 10, and the score 7 of 10" in said
    assert "the board finance under protocol 1 is shown otherwise than its rows say" in said
    assert f"Entry {filled.pk} is not as leaf 0 stated it: " in said


def test_answers_of_what_was_never_published_can_go(filled: Submission, tmp_path: Path) -> None:
    left = factories.evaluated(User.objects.get(username="owner"), method="FedAdam")
    names = []
    for score in Score.objects.filter(evaluation__submission=left):
        Path(score.items.path).write_bytes(ITEMS)
        names.append(str(score.items.name))

    def drop(*options: str) -> str:
        out = StringIO()
        call_command("drop_answers", "--days", "30", *options, stdout=out)
        return out.getvalue()

    assert names and "of 0 scores" in drop()  # it waits for reviewers
    intake.withdraw(left)
    assert "of 0 scores" in drop()  # not long enough ago
    long_ago = timezone.now() - timedelta(days=31)
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        Submission.objects.filter(pk=left.pk).update(status_changed_at=long_ago)
        cursor.execute("SET session_replication_role = origin")
    assert f"of {len(names)} scores would be" in drop("--dry-run")
    assert f"of {len(names)} scores were removed" in drop() and "of 0 scores" in drop()
    assert not [name for name in names if default_storage.exists(name)]
    with pytest.raises(ItemsMissingError, match=hashlib.sha256(ITEMS).hexdigest()):
        open_items(Score.objects.get(items=names[0]))
    assert "are sound" in integrity()
    assert "missing" not in backup(tmp_path / "backups")


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
    [made] = backups(tmp_path / "backups")
    assert made.manifest()["deleted_meanwhile"] == [name] and not made.manifest()["missing"]


def database_url() -> str:
    given = connection.get_connection_params()
    return f"postgresql://{given['user']}@/{given['dbname']}?host={given['host']}"


@pytest.mark.slow("a database is made, and filled while the first is copied")
def test_what_goes_on_while_a_backup_is_made_leaves_it_whole(
    filled: Submission, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker was lost before its evaluation ended; its work is recovered and published, a draft deleted."""
    owner = User.objects.get(username="owner")
    draft = intake.create(factories.draft(owner, files=of_seed(6), method="deleted meanwhile"))
    made = factories.submission(owner, files=of_seed(5), method="FedYogi")
    lost = runs.claim(worker="lost:1")
    assert lost
    for benchmark in rules.of(made.challenge, lost.protocol).benchmarks:
        runs.record_score(lost, factories.score(benchmark, 7, 10), items=File(BytesIO(ITEMS)))
    Evaluation.objects.filter(pk=lost.pk).update(lease_expires_at=timezone.now() - timedelta(minutes=1))
    before, dump = shown(filled.pk), making.programs.dump

    def goes_on() -> None:
        try:
            assert runs.release_expired() == 1
            again = runs.claim(worker="other:1")
            assert again and again.pk == lost.pk
            benchmarks = rules.of(made.challenge, again.protocol).benchmarks
            for benchmark in runs.remaining_benchmarks(again, benchmarks):
                runs.record_score(again, factories.score(benchmark, 5, 10), items=File(BytesIO(items(5))))
            runs.succeed(again, provenance={"precision": "fp32"})
            made.refresh_from_db()
            factories.publish(made)
            intake.delete(draft)
            write_due()
        finally:
            connection.close()

    def dumped_while_it_goes_on(path: Path, snapshot: str) -> None:
        dump(path, snapshot)
        with ThreadPoolExecutor(1) as beside:
            beside.submit(goes_on).result()

    monkeypatch.setattr(making.programs, "dump", dumped_while_it_goes_on)
    said = backup(tmp_path / "backups")
    assert "missing" not in said and Submission.objects.get(pk=made.pk).status == "published"
    assert "are sound" in integrity()
    with empty_site(settings, tmp_path / "other"):
        out = StringIO()
        call_command("restore", str(tmp_path / "backups"), stdout=out)
        assert "are sound" in out.getvalue(), out.getvalue()
        assert shown(filled.pk) == before
        assert Submission.objects.get(pk=made.pk).status == "evaluating"
        assert runs.release_expired() == 1 and runs.claim(worker="restored:1")
