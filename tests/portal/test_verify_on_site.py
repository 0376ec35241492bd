"""`flowertune verify` against a site: keys are kept, and the log has to go on from what was seen of it."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pgtrigger
import pytest
from django.core.management import call_command

from flowertune.__main__ import main
from flowertune.exit_status import Status
from portal.accounts.models import User
from portal.runs.models import Score
from portal.transparency.models import Head, Leaf, TreeNode
from portal.transparency.writing import write_due
from tests.portal import factories

pytestmark = pytest.mark.django_db(transaction=True)
APPEND_ONLY = (
    "transparency.Leaf:leaf_append_only",
    "transparency.TreeNode:tree_node_append_only",
    "transparency.Head:head_append_only",
    "runs.Score:score_immutable",
)


def test_a_reader_follows_a_site_through_growth_rotation_and_a_rewritten_history(
    owner: User,
    live_server: Any,
    settings: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    settings.SITE_URL = live_server.url
    made = factories.published(owner, correct=70)
    write_due()
    page = f"{live_server.url}/entries/{made.pk}/"

    def verify(target: str) -> tuple[int, dict[str, Any]]:
        status = main(["verify", target, "--json"])
        return status, json.loads(capsys.readouterr().out)

    def consistency(document: dict[str, Any]) -> str:
        return {one["name"]: one["outcome"] for one in document["checks"]}["consistency"]

    status, first = verify(page)
    assert status == Status.DONE and "for the first time" in first["keys"]
    assert consistency(first) == "not checked"

    factories.published(owner, method="later")
    write_due()
    status, second = verify(f"{live_server.url}/api/v1/entries/{made.pk}/statement/?protocol=1")
    assert status == Status.DONE and "kept here before" in second["keys"]
    assert consistency(second) == "proved" and second["head"]["size"] == 4

    factories.published(owner, method="later still")
    write_due()
    file = tmp_path / "statement.json"
    for query, outcome in (("", "not checked"), ("?since=4", "proved")):
        with urlopen(f"{live_server.url}/api/v1/entries/{made.pk}/statement/{query}") as answer:  # noqa: S310
            file.write_bytes(answer.read())
        status, offline = verify(str(file))
        assert (status, consistency(offline)) == (Status.DONE, outcome)

    call_command("rotate_signing_key", stdout=StringIO())
    factories.published(owner, method="after the rotation")
    write_due()
    assert verify(page)[0] == Status.DONE

    # What the operator could do with all rights: write another history, and sign it.
    with pgtrigger.ignore(*APPEND_ONLY):
        Head.objects.all().delete()
        TreeNode.objects.all().delete()
        Leaf.objects.all().delete()
        Score.objects.filter(evaluation__submission=made).update(correct=90, value=0.9)
    write_due()
    status, rewritten = verify(page)
    assert status == Status.REFUSED and consistency(rewritten) == "failed"


def test_a_site_that_calls_itself_another_is_not_believed(
    owner: User, live_server: Any, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    settings.SITE_URL = "https://board.example.org"
    made = factories.published(owner)
    write_due()
    assert main(["verify", f"{live_server.url}/entries/{made.pk}/"]) == Status.REFUSED
    assert "has the log of https://board.example.org" in " ".join(capsys.readouterr().err.split())
