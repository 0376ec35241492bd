"""Dumps of all public data, and mirrors that are made from them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pgtrigger
import pyarrow.parquet
import pytest
from django.core.files.base import File
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from evaluation import rules
from evaluation.rules.challenges import CHALLENGES
from portal.accounts.models import User
from portal.dumps import writing
from portal.dumps.manifest import Manifest
from portal.dumps.mirroring import look_again
from portal.dumps.models import Dump, Mirror
from portal.dumps.writing import keep_dump
from portal.intake.services import amend, send, withdraw
from portal.review import audits, cases
from portal.review.models import AuditDraw, Decision, TwoPersonRule
from portal.review.services import confirm, decide, pending
from portal.runs import services as runs
from portal.runs.models import BaselineRun, Evaluation, RoundMetric, Score
from portal.submissions.models import Submission
from portal.transparency.models import Head
from portal.transparency.writing import write_due
from tests.leaderboard.test_items import answered, fifty
from tests.portal import baselines, factories
from tests.portal.test_audits import next_month
from workers import tasks

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


@pytest.mark.slow("builds all boards before and after")
def test_a_dump_is_of_one_moment_whatever_goes_on_while_it_is_written(
    client: Client, owner: User, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Work of a lost worker is recovered and published, and an entry that the dump has is taken back."""
    made = answered(owner, fifty())
    late = factories.submission(owner, method="recovered")
    lost = runs.claim(worker="lost:1")
    assert lost
    Evaluation.objects.filter(pk=lost.pk).update(lease_expires_at=timezone.now() - timedelta(minutes=1))
    before, write_items = boards(client), writing._items

    def goes_on() -> None:
        try:
            assert runs.release_expired() == 1
            again = runs.claim(worker="other:1")
            assert again
            for benchmark in rules.of(late.challenge, again.protocol).benchmarks:
                runs.record_score(again, factories.score(benchmark), items=File(BytesIO(b"{}")))
            runs.succeed(again, provenance={})
            late.refresh_from_db()
            factories.publish(late)
            withdraw(made)
        finally:
            connection.close()

    def after_more_went_on(into: Path) -> Any:
        with ThreadPoolExecutor(1) as beside:
            beside.submit(goes_on).result()
        return write_items(into)

    monkeypatch.setattr(writing, "_items", after_more_went_on)
    rows = {file["name"]: file["rows"] for file in dumped(folder)["files"]}
    assert set(Submission.objects.values_list("status", flat=True)) == {"published", "withdrawn"}
    assert (rows["entries.parquet"], rows["scores.parquet"], rows["items-finance.parquet"]) == (1, 3, 150)
    emptied()
    call_command("import_dump", str(folder), stdout=StringIO())
    assert boards(client) == before


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


FIRST_DUMPS = {
    "teams": "id name created_at",
    "base_models": "id parameters context_length hub_id revision licence aliases active created_at",
    "checkpoints": "id size sha256 config_sha256 tensors_digest adapter_config created_at",
    "entries": "id team_id base_model_id checkpoint_id source_place challenge kind method description "
    "paper_url code_url adapter_config_text config_text import_digest status source_url method_card "
    "status_changed_at created_at sent_at published_at source_date",
    "acts": "pgh_id pgh_obj_id pgh_label status pgh_created_at status_changed_at",
    "decisions": "id submission_id action reason created_at",
    "evaluations": "id submission_id base_model_id checkpoint_id protocol status provenance queued_at "
    "started_at finished_at",
    "scores": "id evaluation_id n correct unscored available tokens value standard_error seconds "
    "tokens_per_second energy_joules benchmark data data_digest official unofficial_reasons correct_bits "
    "scored_bits created_at",
    "declared_scores": "id submission_id decimals benchmark value",
    "costs": "id submission_id value kind basis",
    "findings": "id submission_id code severity message location",
    "baseline_runs": "id base_model_id rounds rounds_done original_id submission_id challenge strategy "
    "precision method status config assumed setup queued_at started_at finished_at",
    "rounds": "id run_id round examples bytes_down bytes_up client_peak_rss_bytes client_peak_vram_bytes "
    "server_peak_rss_bytes learning_rate train_loss held_out_loss train_seconds aggregate_seconds "
    "communicate_seconds seconds energy_joules gpu_seconds epsilon clients failures recorded_at",
    "reproductions": "id run_id original_id retrained_id original_evaluation_id retrained_evaluation_id "
    "difference low high p_value tolerance outcome verdict benchmarks unequal decided_at judged_at",
}
"""Tables and columns of version 1 as it first was."""


def test_dumps_of_before_tables_and_columns_were_added_can_be_read(
    client: Client, owner: User, reviewer: User, folder: Path
) -> None:
    gone, made = factories.published(owner), factories.published(owner)
    run = baselines.with_rounds(baselines.run(factories.operator()), 2)
    with pgtrigger.ignore():
        BaselineRun.objects.update(
            submission=made,
            status=BaselineRun.Status.SUCCEEDED,
            claim_id=None,
            lease_expires_at=None,
            finished_at=timezone.now(),
        )
    factories.review(gone, reviewer, Decision.Action.DISQUALIFY, reason="Trained on the test set.")
    before = boards(client)
    manifest = dumped(folder)
    emptied()
    files = []
    for file in manifest["files"]:
        path = folder / file["name"]
        if columns := FIRST_DUMPS.get(file["table"]):
            pyarrow.parquet.write_table(pyarrow.parquet.read_table(path).select(columns.split()), path)
        elif file["table"] != "items":
            continue
        content = path.read_bytes()
        files.append({**file, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()})
    (folder / "manifest.json").write_text(json.dumps({**manifest, "files": files}))
    call_command("import_dump", str(folder), stdout=StringIO())
    assert boards(client) == before
    assert RoundMetric.objects.filter(energy_method="", client_losses=[]).count() == 2
    assert "Trained on the test set." in client.get(f"/entries/{gone.pk}/").content.decode()
    assert client.get(f"/baselines/runs/{run.pk}/").status_code == 200


def test_scores_that_are_no_result_of_the_entry_are_in_no_dump(
    owner: User, reviewer: User, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of an adapter before its team was asked to change it, and an audit's."""
    made = factories.evaluated(owner, correct=11)
    factories.review(
        made,
        reviewer,
        Decision.Action.CHANGES,
        reason="Another one.",
        due_at=timezone.now() + timedelta(days=3),
    )
    made.refresh_from_db()
    amend(made, factories.draft(owner, files=factories.files(adapter=factories.adapter_bytes(1))))
    send(made)
    factories.evaluate(made, correct=70)
    made.refresh_from_db()
    factories.publish(made)
    monkeypatch.setattr(audits, "_RETRAINED", "")
    assert audits.draw(next_month())
    factories.evaluate(made, correct=22)
    assert audits.settle() == 1
    dumped(folder)
    told = {
        name: pyarrow.parquet.read_table(folder / f"{name}.parquet").to_pylist()
        for name in ("scores", "audits")
    }
    assert {row["correct"] for row in told["scores"]} == {70}
    [audit] = told["audits"]
    assert audit["submission_id"] == made.pk
    emptied()
    call_command("import_dump", str(folder), stdout=StringIO())
    assert Client().get("/audits/").status_code == 200
    assert {score["correct"] for score in Score.objects.values("correct")} == {70}


def test_public_decisions_are_told_and_nothing_that_was_only_proposed(
    client: Client, owner: User, reviewer: User, folder: Path
) -> None:
    made = factories.published(owner)
    factories.review(made, reviewer, Decision.Action.DISQUALIFY, reason="A copy.")
    factories.review(made, reviewer, Decision.Action.REINSTATE, reason="It was the first.")
    second = factories.user("second", is_staff=True, is_superuser=True)
    TwoPersonRule.objects.get_or_create(action=Decision.Action.DISQUALIFY)
    factories.review(made, reviewer, Decision.Action.DISQUALIFY, reason="Only proposed.")
    dumped(folder)
    rows = pyarrow.parquet.read_table(folder / "decisions.parquet").to_pylist()
    assert [row["reason"] for row in rows] == ["A copy.", "It was the first."]
    cases.release(made, reviewer=reviewer)
    cases.claim(made, reviewer=second)
    confirm(pending(made), reviewer=second, agreed=True)  # type: ignore[arg-type]
    dumped(folder.with_name("later"))
    before = client.get("/changes/").content.decode()
    emptied()
    call_command("import_dump", str(folder.with_name("later")), stdout=StringIO())
    after = client.get("/changes/").content.decode()
    for reason in ("A copy.", "It was the first.", "Only proposed."):
        assert reason in before and reason in after


FORMS = (
    "/submit/", "/submissions/", "/accounts/login/", "/accounts/signup/", "/accounts/profile/", "/contact/",
    "/review/", "/review/requests/", "/admin/", "/baselines/runs/new/", "/entries/{}/report/",
)  # fmt: skip


def test_a_mirror_says_where_the_site_is_that_takes_something(
    client: Client, owner: User, folder: Path, settings: Any
) -> None:
    made = factories.published(owner)
    settings.SITE_URL = "https://first.example"
    dumped(folder)
    emptied()
    call_command("import_dump", str(folder), stdout=StringIO())
    settings.SITE_URL = "https://mirror.example"
    for path in (form.format(made.pk) for form in FORMS):
        page = client.get(path)
        assert page.status_code == 200 and "<form" not in page.content.decode().partition("<main")[2], path
        assert f'href="https://first.example{path}"' in page.content.decode(), path
    entry = client.get(f"/entries/{made.pk}/").content.decode()
    assert f"flowertune verify https://first.example/entries/{made.pk}/" in entry
    assert "within a minute" not in entry and 'rel="canonical" href="https://first.example/' in entry
    assert "https://first.example/data/" in client.get("/data/").content.decode()
    for path in ("/api/v1/log/", f"/api/v1/entries/{made.pk}/statement/"):
        assert "https://first.example" in client.get(path).json()["detail"]
    exported = client.get(f"/api/v1/entries/{made.pk}/exports/every-eval-ever/").content.decode()
    assert f"https://first.example/api/v1/entries/{made.pk}/statement/" in exported
    before = AuditDraw.objects.count()
    tasks.audit()
    assert AuditDraw.objects.count() == before


def _renamed(manifest: dict[str, Any], folder: Path) -> str:
    (folder.parent / "stolen.parquet").write_bytes((folder / "scores.parquet").read_bytes())
    manifest["files"][0]["name"] = "../stolen.parquet"
    return "names a file '../stolen.parquet'"


def _removed(manifest: dict[str, Any], folder: Path) -> str:
    (folder / "scores.parquet").unlink()
    return r"scores\.parquet cannot be read"


def _left_out(manifest: dict[str, Any], folder: Path) -> str:
    manifest["files"] = [file for file in manifest["files"] if file["table"] != "scores"]
    return "names no file of the table scores"


def _of_another_table(manifest: dict[str, Any], folder: Path) -> str:
    files = {file["table"]: file for file in manifest["files"]}
    files["scores"]["name"], files["costs"]["name"] = files["costs"]["name"], files["scores"]["name"]
    return "is not the file that the manifest names"


def _of_another_version(manifest: dict[str, Any], folder: Path) -> str:
    manifest["version"] = 99
    return "no flowertune-dump of version 1"


def _of_no_shape(manifest: dict[str, Any], folder: Path) -> str:
    manifest["files"][3]["folder"] = "/etc"
    return r"manifest\.json cannot be read"


def _of_no_site(manifest: dict[str, Any], folder: Path) -> str:
    manifest["site"] = "javascript:alert(1)"
    return "names no site"


def _with_fewer_rows(manifest: dict[str, Any], folder: Path) -> str:
    """A file of another dump, with its digest."""
    table = pyarrow.parquet.read_table(folder / "scores.parquet").slice(0, 1)
    pyarrow.parquet.write_table(table, folder / "scores.parquet")
    file = next(file for file in manifest["files"] if file["table"] == "scores")
    file["sha256"] = hashlib.sha256((folder / "scores.parquet").read_bytes()).hexdigest()
    return r"scores\.parquet has 1 rows, not 3"


def _against_a_constraint(manifest: dict[str, Any], folder: Path) -> str:
    """Rows that the database refuses, with their digest."""
    path = folder / "evaluations.parquet"
    table = pyarrow.parquet.read_table(path)
    place = table.column_names.index("domain")
    table = table.set_column(place, "domain", pyarrow.array(["code"] * len(table)))
    pyarrow.parquet.write_table(table, path)
    file = next(file for file in manifest["files"] if file["table"] == "evaluations")
    file["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    file["size"] = path.stat().st_size
    return "do not fit together: new row for relation .* violates check constraint"


@pytest.mark.parametrize(
    "tamper",
    [_renamed, _removed, _left_out, _of_another_table, _of_another_version, _of_no_shape, _of_no_site,
     _with_fewer_rows, _against_a_constraint],
)  # fmt: skip
def test_a_dump_that_was_tampered_with_is_refused_with_the_place(
    owner: User, folder: Path, tamper: Callable[[dict[str, Any], Path], str]
) -> None:
    factories.published(owner)
    manifest = dumped(folder)
    emptied()
    said = tamper(manifest, folder)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CommandError, match=said):
        call_command("import_dump", str(folder), stdout=StringIO())
    assert not User.objects.exists() and not Mirror.objects.exists()


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
