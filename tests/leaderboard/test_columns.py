"""A column is one object: added in one place, it stands wherever columns do."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pyarrow import parquet

from evaluation.rules.protocol import CURRENT
from leaderboard.board import columns
from leaderboard.board.column import ApiField, Column, Facet, Group
from leaderboard.board.columns import by_key, columns_of
from portal.accounts.models import User
from portal.intake.services import Cost
from portal.submissions.models import Resource
from tests.portal import factories

pytestmark = pytest.mark.django_db
LETTERS = Column(
    "letters",
    "Letters",
    lambda s: len(s.entry.method),
    lambda s: f"{len(s.entry.method)} letters",
    unit="pieces",
    si_unit="letters",
    group=Group.SCORE,
    interval=lambda s: (len(s.entry.method) - 1, len(s.entry.method) + 1),
    falls=True,
    meaning="Length of the method's name",
    holds="count",
    facet=Facet("initial", "Initial", lambda entry: entry.method[0]),
    limit=10.0,
    api=ApiField("letters", "How many there are", interval="letters_interval"),
)
PLACES = (
    "/leaderboard/finance/", "/leaderboard/finance.csv", "/leaderboard/finance.json",
    "/api/v1/leaderboards/finance/",
)  # fmt: skip


@pytest.fixture(params=["FIRST", "REST"])
def column(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Column:
    """The column, added before the scores or behind them."""
    part = request.param
    monkeypatch.setattr(columns, part, (*getattr(columns, part), LETTERS))
    return LETTERS


@pytest.fixture
def board(owner: User) -> tuple[int, int]:
    """Two entries, the better one with the shorter name."""
    short = factories.published(owner, method="Fed", correct=80)
    return short.pk, factories.published(owner, method="Elongated", correct=60).pk


def body(client: Client, path: str) -> bytes:
    answer: Any = client.get(path)
    assert answer.status_code == 200, path
    return bytes(answer.getvalue())


def page(client: Client, query: str = "") -> str:
    return body(client, f"/leaderboard/finance/{query}").decode()


def methods(client: Client, query: str) -> list[str]:
    return [
        row["method"] for row in json.loads(body(client, f"/leaderboard/finance.json?{query}"))["entries"]
    ]


def test_it_stands_on_the_page_with_unit_and_help(client: Client, board: object, column: Column) -> None:
    html = page(client)
    assert "9 letters" in html and "3 letters" in html and 'data-label="Letters, pieces"' in html
    assert 'title="Length of the method&#x27;s name">Letters</a> <span class="unit">pieces</span>' in html
    assert 'name="columns" value="letters"' in html and 'name="pin" value="letters"' in html
    assert "9 letters" not in page(client, "?columns=average")


def test_one_can_sort_by_it_from_the_highest_first(client: Client, board: object, column: Column) -> None:
    assert '<option value="-letters" >Letters, highest first</option>' in page(client)
    assert methods(client, "sort=-letters") == ["Elongated", "Fed"]
    assert methods(client, "sort=letters") == ["Fed", "Elongated"]


def test_one_can_choose_its_values_and_set_a_limit(client: Client, board: object, column: Column) -> None:
    html = page(client)
    assert "<legend>Initial</legend>" in html and 'name="initial" value="E"' in html
    assert '<span>Letters, pieces</span> <input type="number" name="max_letters"' in html
    assert methods(client, "initial=E") == ["Elongated"]
    assert methods(client, "max_letters=0.5") == ["Fed"]
    narrowed = page(client, "?initial=F&max_letters=0.5")
    assert "Letters at most 0.5 pieces" in narrowed and "9 letters" not in narrowed


def test_files_have_it_with_unit_meaning_and_interval(client: Client, board: object, column: Column) -> None:
    [first, _] = csv.DictReader(io.StringIO(body(client, "/leaderboard/finance.csv").decode(), newline=""))
    names = ("letters [letters]", "letters_low [letters]", "letters_high [letters]")
    assert [first[name] for name in names] == ["3", "2", "4"]
    told = json.loads(body(client, "/leaderboard/finance.json"))
    assert {"name": "letters", "unit": "letters", "meaning": column.meaning} in told["fields"]
    assert [entry["letters"] for entry in told["entries"]] == [3, 9]
    table = parquet.read_table(io.BytesIO(body(client, "/leaderboard/finance.parquet")))
    assert (
        table.column("letters").to_pylist() == [3, 9] and str(table.schema.field("letters").type) == "int64"
    )
    assert table.schema.field("letters").metadata[b"meaning"].decode() == column.meaning


def test_the_api_has_it_with_its_filters_and_says_so(client: Client, board: object, column: Column) -> None:
    path = "/api/v1/leaderboards/finance/"
    results = client.get(f"{path}?sort=-letters").json()["results"]
    assert [(row["letters"], row["letters_interval"]) for row in results] == [(9, [8, 10]), (3, [2, 4])]
    assert [row["letters"] for row in client.get(f"{path}?initial=F").json()["results"]] == [3]
    assert [row["letters"] for row in client.get(f"{path}?max_letters=0.5").json()["results"]] == [3]
    schema = json.loads(body(client, reverse("api-schema") + "?format=json"))
    field = schema["components"]["schemas"]["Standing"]["properties"]["letters"]
    assert field["description"] == "How many there are"
    parameters = schema["paths"]["/api/v1/leaderboards/{challenge}/"]["get"]["parameters"]
    assert {"initial", "max_letters"} <= {parameter["name"] for parameter in parameters}


def test_a_comparison_has_it_as_a_row(client: Client, board: tuple[int, int], column: Column) -> None:
    html = body(client, f"/compare/?entries={board[0]},{board[1]}").decode()
    assert re.search(r"Letters\b.*3 letters.*9 letters", html, re.DOTALL)


def test_without_it_nothing_knows_of_it(client: Client, board: object) -> None:
    for path in PLACES:
        assert b"letters" not in body(client, path).lower()
    assert client.get("/api/v1/leaderboards/finance/?initial=F").status_code == 400


def test_every_column_has_a_key_and_its_filters_names_of_their_own() -> None:
    for challenge in ("finance", "code"):
        keys = [column.key for column in columns_of(challenge, CURRENT.number)]
        assert len(keys) == len(set(keys))
    facets = [column.facet.name for column in by_key().values() if column.facet]
    names = [*facets, *(f"max_{column.key}" for column in by_key().values() if column.limit)]
    assert len(names) == len(set(names))
    fields = [field.name for column in columns_of("finance", CURRENT.number) for field in column.fields]
    assert len(fields) == len(set(fields))


def test_costs_in_the_api_keep_their_basis(client: Client, owner: User) -> None:
    sent = Cost(Resource.Kind.COMMUNICATION, 3 * 1024**3, Resource.Basis.MEASURED)
    factories.published(owner, costs=[sent])
    [row] = client.get("/api/v1/leaderboards/finance/").json()["results"]
    assert row["resources"] == {
        "communication_bytes": {"value": 3 * 1024**3, "basis": "measured"},
        "client_memory_bytes": None,
        "time_seconds": None,
    }
    assert row["team"] == "owner" and row["strategy"] == "" and row["gain"] is None
