"""What an operator is told about the data that are there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from huggingface_hub import constants

from evaluation import benchmarks, data
from evaluation.benchmarks import BENCHMARKS
from evaluation.errors import DataError
from evaluation.rules.protocol import CURRENT
from tests.evaluation.conftest import WriteRows
from tests.evaluation.hub_server import HubServer

TFNS = [{"text": "$AB rises", "label": 1, "else": "not read"}]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


def test_every_benchmark_is_listed_and_what_is_missing_says_why(write_rows: WriteRows) -> None:
    holdings = {holding.benchmark: holding for holding in data.describe(write_rows("tfns", TFNS))}
    assert list(holdings) == list(BENCHMARKS)
    there, missing = holdings["tfns"], holdings["fpb"]
    assert (there.items, there.official_items, there.official, there.source) == (
        1,
        2_388,
        False,
        "tfns.jsonl",
    )
    assert "not the official ones" in there.reasons[0]
    assert (missing.items, missing.digest, missing.official, missing.source) == (None, None, False, None)
    assert "has no fpb.jsonl or fpb.parquet" in missing.reasons[0]
    assert json.loads(json.dumps(there.as_dict()))["benchmark"] == "tfns"


def test_without_fetching_only_the_cache_is_looked_at(hub: None, monkeypatch: pytest.MonkeyPatch) -> None:
    tfns = benchmarks.get("tfns")
    server = HubServer(
        tfns.hub.dataset,
        {tfns.hub.files[0]: b"text,label\n$AB rises,1\n"},
        kind="dataset",
        commit=tfns.hub.revision,
    )
    with server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        (absent,) = data.describe(None, benchmarks=[tfns])
        assert "--fetch" in absent.reasons[0]
        assert server.requests == []
        (fetched,) = data.describe(None, fetch=True, benchmarks=[tfns])
        server.requests.clear()
        (cached,) = data.describe(None, benchmarks=[tfns])
        assert server.requests == []
    assert fetched == cached
    assert (cached.items, cached.source) == (1, f"{tfns.hub.dataset}@{tfns.hub.revision}: sent_valid.csv")


def test_an_export_is_a_data_folder_with_the_same_items(write_rows: WriteRows, tmp_path: Path) -> None:
    tfns, target = benchmarks.get("tfns"), tmp_path / "out"
    folder = write_rows("tfns", TFNS)
    assert data.export(folder, target, benchmarks=[tfns]) == [target / "tfns.jsonl"]
    assert json.loads((target / "tfns.jsonl").read_text()) == {"text": "$AB rises", "label": 1}
    assert data.load(tfns, target, CURRENT, None) == data.load(tfns, folder, CURRENT, None)
    with pytest.raises(DataError, match=r"tfns\.jsonl exists"):
        data.export(folder, target, benchmarks=[tfns])


def test_all_built_in_data_can_be_exported(tmp_path: Path) -> None:
    data.export("demonstration", tmp_path)
    assert {holding.reasons for holding in data.describe(tmp_path)} == {
        ("the items are this project's demonstration data",)
    }


def test_a_stand_in_is_exported_under_its_own_name(write_rows: WriteRows, tmp_path: Path) -> None:
    row = {"question": "x", "op1": "1", "op2": "2", "op3": "3", "op4": "4", "cop": 1}
    careqa = benchmarks.get("careqa")
    (path,) = data.export(write_rows("careqa_proxy", [row]), tmp_path / "out", benchmarks=[careqa])
    assert path.name == "careqa_proxy.jsonl"
    (holding,) = data.describe(path.parent, benchmarks=[careqa])
    assert "stand-in" in holding.reasons[0]
