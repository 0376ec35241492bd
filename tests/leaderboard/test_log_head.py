"""Readers meet the log where they are: in files of a board, in feeds, on an entry's page."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from django.test import Client
from pyarrow import parquet

from portal.accounts.models import User
from portal.transparency.reading import current_head, head_in_words
from portal.transparency.writing import write_due
from tests.leaderboard.test_compare import imported
from tests.portal import factories

pytestmark = pytest.mark.django_db


def log_head() -> str:
    head = current_head()
    assert head
    return head_in_words(head)


def test_every_file_of_a_board_names_the_logs_head(client: Client, owner: User) -> None:
    factories.published(owner)
    before = client.get("/leaderboard/finance.csv")
    assert b"log_head" not in before.getvalue()
    write_due()
    after = client.get("/leaderboard/finance.csv", headers={"If-None-Match": before["ETag"]})
    assert after.status_code == 200
    [row] = csv.DictReader(io.StringIO(after.getvalue().decode(), newline=""))
    assert list(row)[-1] == "log_head" and row["log_head"] == log_head()
    for path in ("/leaderboard/finance", "/leaderboard"):
        told = json.loads(client.get(f"{path}.json").getvalue())
        assert told["log_head"] == log_head() and "log_head" not in {f["name"] for f in told["fields"]}
        table = parquet.read_table(io.BytesIO(client.get(f"{path}.parquet").content))
        assert table.schema.metadata[b"log_head"].decode() == log_head()


def test_a_feeds_entry_names_its_statement_and_the_head_that_came_with_it(
    client: Client, owner: User
) -> None:
    made = factories.published(owner)
    write_due()
    then = log_head()
    factories.published(owner, method="later")
    write_due()
    last = ElementTree.fromstring(client.get("/feed.atom").content).findall("{*}entry")[-1]
    head = last.find("{urn:flowertune:log}head")
    assert head is not None and head.text == then != log_head()
    links = {link.get("rel"): link.get("href") for link in last.findall("{*}link")}
    assert links["describedby"] == f"http://127.0.0.1:8000/api/v1/entries/{made.pk}/statement/"


def test_an_entrys_page_has_the_statement_and_the_command_once_it_is_logged(
    client: Client, owner: User
) -> None:
    made = factories.published(owner)
    page = f"/entries/{made.pk}/"
    assert "There is no signed statement" in client.get(page).content.decode()
    write_due()
    told = client.get(page).content.decode()
    assert f"flowertune verify http://127.0.0.1:8000{page}" in told
    assert f'href="/api/v1/entries/{made.pk}/statement/"' in told and log_head() in told


def test_a_declared_entry_says_that_nobody_vouches_for_it(
    client: Client, owner: User, tmp_path: Path
) -> None:
    entry, _ = imported(tmp_path, "finance")
    write_due()
    page = client.get(f"/entries/{entry}/").content.decode()
    assert "did not evaluate them" in page and "flowertune verify" not in page
