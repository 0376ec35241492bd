"""Boards as CSV, JSON and Parquet: the same rows as the page, with units and the basis of every figure."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from django.http import HttpResponse, StreamingHttpResponse
from django.test import Client
from pyarrow import parquet

from leaderboard.board.columns import columns_of
from leaderboard.reading import snapshots
from portal.accounts.models import User
from portal.intake.services import Cost, withdraw
from portal.submissions.models import Resource
from tests.portal import factories

pytestmark = pytest.mark.django_db
COSTS = [
    Cost(Resource.Kind.COMMUNICATION, 3 * 1024**3, Resource.Basis.MEASURED),
    Cost(Resource.Kind.GPU_TIME, 7200, Resource.Basis.DECLARED),
]


def content(client: Client, path: str) -> bytes:
    response: Any = client.get(path)
    assert response.status_code == 200
    assert isinstance(response, HttpResponse | StreamingHttpResponse)
    return response.getvalue()


def rows(client: Client, path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content(client, path).decode(), newline="")))


def test_a_csv_row_has_figures_units_intervals_and_bases(client: Client, owner: User) -> None:
    made = factories.published(owner, method="Mine", correct=70, costs=COSTS)
    [row] = rows(client, "/leaderboard/finance.csv")
    assert row["entry"] == str(made.pk) and row["url"] == f"http://testserver/entries/{made.pk}/"
    assert row["method"] == "Mine" and row["track"] == "official" and row["rank"] == "1"
    assert float(row["fpb [fraction]"]) == 0.7
    assert 0.60 < float(row["fpb_low [fraction]"]) < 0.7 < float(row["fpb_high [fraction]"]) < 0.79
    assert (float(row["communication [B]"]), row["communication_basis"]) == (3 * 1024**3, "measured")
    assert (float(row["gpu_time [s]"]), row["gpu_time_basis"]) == (7200, "declared")
    assert row["client_vram [B]"] == "" and row["client_vram_basis"] == ""


def test_json_says_what_it_is_and_names_each_unit(client: Client, owner: User) -> None:
    factories.published(owner, method="Mine", correct=70, costs=COSTS)
    body = client.get("/leaderboard/finance.json?q=mine&page=3").getvalue()
    told = json.loads(body)
    assert told["challenge"] == "finance" and told["protocol"] == 1 and told["as_of"] == ""
    assert told["source"] == "http://testserver/leaderboard/finance/?q=mine"
    units = {field["name"]: field["unit"] for field in told["fields"]}
    assert units["communication"] == "B" and units["average"] == "fraction" and units["method"] is None
    [entry] = told["entries"]
    assert entry["communication"] == 3 * 1024**3 and entry["average"] == pytest.approx(0.7)
    assert list(entry) == list(units)


def test_parquet_keeps_types_units_and_facts(client: Client, owner: User) -> None:
    factories.published(owner, method="Mine", correct=70, costs=COSTS)
    table = parquet.read_table(io.BytesIO(content(client, "/leaderboard/finance.parquet")))
    assert table.num_rows == 1 and str(table.schema.field("date").type) == "timestamp[us, tz=UTC]"
    assert table.schema.field("communication").metadata[b"unit"] == b"B"
    assert table.schema.metadata[b"snapshot"].decode() == snapshots.current("finance").version
    assert table.column("communication").to_pylist() == [3 * 1024**3]
    assert table.column("rounds").type == "int64"


def test_the_three_formats_say_the_same(client: Client, owner: User) -> None:
    for number in range(3):
        factories.published(owner, method=f"number {number}", correct=50 + number, costs=COSTS)
    table = parquet.read_table(io.BytesIO(content(client, "/leaderboard/finance.parquet"))).to_pylist()
    entries = json.loads(content(client, "/leaderboard/finance.json"))["entries"]
    lines = rows(client, "/leaderboard/finance.csv")
    assert [row["entry"] for row in table] == [row["entry"] for row in entries]
    for one, other, line in zip(table, entries, lines, strict=True):
        assert one | {"date": one["date"].isoformat()} == other
        texts = {name.split(" [")[0]: text for name, text in line.items()}
        assert texts == {k: "" if v is None else str(v) for k, v in other.items()}


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_an_empty_board_is_an_empty_file_with_its_fields(client: Client, form: str) -> None:
    body = content(client, f"/leaderboard/medical.{form}")
    assert b"pubmedqa" in body


def test_the_fields_do_not_depend_on_what_the_board_holds(client: Client, owner: User) -> None:
    before = content(client, "/leaderboard/finance.csv").splitlines()[0]
    factories.published(owner, costs=COSTS)
    assert content(client, "/leaderboard/finance.csv").splitlines()[0] == before
    assert all(column.key in before.decode() for column in columns_of("finance", 1))


@pytest.mark.parametrize("method", ['=HYPERLINK("http://evil")', "+1", "-1", "@SUM(A1)", " =1", "\uff1d1"])
def test_no_text_runs_as_a_formula(client: Client, owner: User, method: str) -> None:
    factories.published(owner, method=method)
    assert rows(client, "/leaderboard/finance.csv")[0]["method"] == f"'{method}"


def test_a_negative_figure_stays_a_number(client: Client, owner: User) -> None:
    model = factories.base_model()
    factories.published(owner, method="Untuned", kind="reference", files=None, correct=80)
    factories.published(owner, method="Worse", base_model=model, correct=70)
    found = {row["method"]: row["gain [fraction]"] for row in rows(client, "/leaderboard/finance.csv")}
    assert float(found["Worse"]) == pytest.approx(-0.1)


def test_filters_sort_and_columns_of_the_page_hold_for_the_file(client: Client, owner: User) -> None:
    for number in range(3):
        factories.published(owner, method=f"number {number}", correct=50 + number)
    query = "q=number&sort=average&columns=average"
    found = rows(client, f"/leaderboard/finance.csv?{query}")
    assert [row["method"] for row in found] == ["number 0", "number 1", "number 2"]
    assert "average [fraction]" in found[0] and "fpb [fraction]" not in found[0]
    assert rows(client, "/leaderboard/finance.csv?q=nothing+like+it") == []


def test_a_client_that_has_the_file_is_told_so_until_the_board_changes(client: Client, owner: User) -> None:
    made = factories.published(owner)
    tag = client.get("/leaderboard/finance.csv")["ETag"]
    same = client.get("/leaderboard/finance.csv", headers={"If-None-Match": tag})
    assert same.status_code == 304
    other = client.get("/leaderboard/finance.csv?q=x", headers={"If-None-Match": tag})
    assert other.status_code == 200 and other["ETag"] != tag
    withdraw(made)
    assert client.get("/leaderboard/finance.csv", headers={"If-None-Match": tag}).status_code == 200


@pytest.mark.parametrize("path", ["/leaderboard/poetry.csv", "/leaderboard/finance.xlsx"])
def test_other_boards_and_formats_are_not_found(client: Client, path: str) -> None:
    assert client.get(path).status_code == 404


def test_the_comparison_over_the_challenges_is_a_file_too(client: Client, owner: User) -> None:
    made = factories.published(owner, method="Mine", correct=70)
    told = json.loads(content(client, "/leaderboard.json?order=average"))
    assert told["show"] == "official" and told["order"] == "average"
    [row] = told["entries"]
    assert row["method"] == "Mine" and row["challenges"] == 1 and row["rank"] is None
    assert row["finance"] == pytest.approx(0.7) and row["finance_place"] == 1 and row["medical"] is None
    assert row["finance_url"] == f"http://testserver/entries/{made.pk}/"
    [line] = rows(client, "/leaderboard.csv")
    assert line["mean_score [fraction]"] == line["finance [fraction]"] and line["code [fraction]"] == ""
    table = parquet.read_table(io.BytesIO(content(client, "/leaderboard.parquet?by=base_model")))
    assert table.column("base_model_id").to_pylist() == [made.base_model.hub_id]
    assert table.column("method").to_pylist() == table.column("team").to_pylist() == [None]
    assert "/leaderboard.csv?show=official" in client.get("/leaderboard/").content.decode()
