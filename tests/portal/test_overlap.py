"""N-gram overlap, from the digests that the site gives out to what an entry shows; no text leaves a team."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, transaction
from django.test import Client

from evaluation.benchmarks import BENCHMARKS
from evaluation.data.official import hold
from evaluation.data.overlap import texts_of
from evaluation.data.register import Given
from flowertune.__main__ import main
from portal.accounts.models import ApiToken, User, personal_team
from portal.runs import ngrams
from portal.submissions.models import Submission
from tests.portal import factories
from tests.portal.api.conftest import Api, fields, texts

pytestmark = pytest.mark.django_db(transaction=True)


def items(slug: str) -> list[str]:
    """The built-in items, as somebody may have trained on them."""
    benchmark = BENCHMARKS[slug]
    rows = hold(benchmark, "demonstration", Given()).items.rows
    return ["\n".join(texts_of(benchmark, row)) for row in rows]


@pytest.fixture
def indexed(storage: Path, tmp_path: Path) -> str:
    """What the command says that makes the digests of the built-in items, and of a training set with one."""
    rows = [
        {"instruction": "What is the sentiment?", "input": items("fpb")[0], "output": "positive"},
        {"instruction": "What is the sentiment?", "input": "Nothing that anybody asks", "output": "neutral"},
    ]
    (tmp_path / "finance.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = StringIO()
    call_command("ngrams", data="demonstration", training_data=tmp_path, stdout=said, stderr=StringIO())
    return said.getvalue()


def test_a_training_sets_share_stands_on_the_benchmarks_and_the_method_page(
    indexed: str, client: Client
) -> None:
    assert "2 rows: fpb 1 of 43" in indexed
    page = client.get("/benchmarks/fpb/").content.decode()
    assert "1 of 43 items share a 13-gram with its 2 rows" in page
    assert "1 of 43 items" in client.get("/method/").content.decode()
    content = b"".join(client.get("/api/v1/benchmarks/fpb/ngrams/"))
    stored = ngrams.stored("fpb")
    assert stored and content == stored.to_bytes()
    assert client.get("/api/v1/benchmarks/none/ngrams/").status_code == 404


def test_a_team_compares_here_and_its_report_stands_on_the_entry(
    indexed: str, live_server: Any, owner: User, tmp_path: Path, client: Client, monkeypatch: Any, capsys: Any
) -> None:
    token = ApiToken.issue(user=owner, name="overlap")[1]
    monkeypatch.setenv("FLOWERTUNE_URL", live_server.url)
    monkeypatch.setenv("FLOWERTUNE_TOKEN", token)
    own = tmp_path / "own"
    own.mkdir()
    secret = "our very own sentence that no other person may ever come to read anywhere"
    (own / "notes.txt").write_text(f"{items('fpb')[0]}\n\n{secret}\n")
    (own / "rows.csv").write_text('text,label\n"Nothing of interest",1\n')
    (own / "rows.jsonl").write_text(json.dumps({"messages": [{"content": items("tfns")[3]}]}) + "\n")
    report = tmp_path / "overlap.json"
    assert main(["overlap", str(own), "--challenge", "finance", "--output", str(report), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert {slug: row["touched"] for slug, row in said["benchmarks"].items()} == {
        "fpb": 1,
        "fiqa": 0,
        "tfns": 1,
    }
    assert said["rows"] == 4 and "secret" not in report.read_text() and "sentence" not in report.read_text()

    api, sent = Api(token), fields(draft=True, overlap=report.read_text(), **texts())
    factories.base_model()
    made = api.call("POST", "submissions/", sent).json()
    assert [share["touched"] for share in made["overlap"]["shares"]] == [1, 0, 1]
    # An edit of something else keeps it, in the form too.
    page = {"challenge": "finance", "base_model": factories.base_model().pk, "method": "Renamed"}
    page |= {"team": personal_team(owner).pk, "not_trained_on_test_items": "on", "action": "save"}
    client.force_login(owner)
    client.post(f"/submissions/{made['id']}/edit/", page)
    draft = Submission.objects.get()
    assert draft.method == "Renamed" and draft.overlap == made["overlap"]
    shown = client.get(draft.get_absolute_url()).content.decode()
    assert "1 of 43 items share a 13-gram with the declared training data" in shown


def test_a_report_of_other_digests_or_other_items_is_refused(indexed: str, token: str) -> None:
    api = Api(token)
    index = ngrams.stored("fpb")
    assert index
    report = {
        "format": "flowertune-overlap/1",
        "rows": 1,
        "ngrams": 1,
        "commitment": "a" * 64,
    }
    factories.base_model()
    unusable: list[Any] = [
        {"fpb": {"data_digest": index.data_digest, "digests": ["0" * 16]}},
        {"fpb": {"data_digest": "other", "digests": []}},
        {"none": {"data_digest": "", "digests": []}},
        [],
    ]
    for benchmarks in unusable:
        text = json.dumps(report | {"benchmarks": benchmarks})
        refused = api.call("POST", "submissions/", fields(draft=True, overlap=text))
        assert refused.status_code == 400
        assert {f["code"] for f in refused.json()["findings"]} == {"overlap_report"}


def test_an_entry_shows_it_and_it_is_fixed(owner: User, client: Client) -> None:
    share = ngrams.Share("fpb", 3, 35, 40, "ab")
    made = factories.published(owner, overlap=ngrams.Overlap(10, 1000, "cd" * 32, (share,)))
    assert "3 of 40 items share a 13-gram" in client.get(f"/entries/{made.pk}/").content.decode()
    with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
        Submission.objects.filter(pk=made.pk).update(overlap=None)
