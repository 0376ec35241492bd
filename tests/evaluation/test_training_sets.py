"""The challenges' training sets from the hub: one commit, whole, known by their digest."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from evaluation.__main__ import main
from evaluation.data import OtherRowsError, RegisterFile, training
from evaluation.errors import DataError, HubError
from evaluation.federated import data, options
from evaluation.rules.challenges import CHALLENGES
from tests.evaluation.hub_files import parquet
from tests.evaluation.hub_server import COMMIT, HubServer

SET = CHALLENGES["finance"].training_set
ROWS: list[dict[str, Any]] = [
    {"input": f"$AB {i}", "output": "positive", "instruction": "What is it?", "year": 1990 + i, "tags": ["x"]}
    for i in range(6)
]
PLAIN = [{k: v for k, v in row.items() if k != "tags"} for row in ROWS]


FILES = {
    "README.md": b"text",
    "dataset_infos.json": b"{}",
    "data/test-00000-of-00001.parquet": parquet(ROWS[:1]),
    "data/train-00000-of-00002-0a.parquet": parquet(ROWS[:4]),
    "data/train-00001-of-00002-0b.parquet": parquet(ROWS[4:]),
}


@pytest.fixture
def register(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RegisterFile:
    monkeypatch.setenv("EVALUATION_REGISTER", str(tmp_path / "register.json"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(training, "default_folder", lambda: tmp_path / "kept")
    return RegisterFile()


@pytest.fixture
def hub(register: RegisterFile, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with HubServer(SET.hub_id, FILES, kind="dataset") as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


def test_a_training_set_is_the_rows_of_its_training_split_in_order(
    hub: HubServer, register: RegisterFile, tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    path = training.fetch(SET, tmp_path / "rows", register, lambda done, total: told.append((done, total)))
    assert path.name == f"flwrlabs--fingpt-sentiment-train@{COMMIT}.jsonl"
    assert [json.loads(line) for line in path.read_text().splitlines()] == PLAIN
    size = sum(len(content) for name, content in FILES.items() if "train" in name)
    assert told[0] == (0, size) and told[-1] == (size, size)
    read = data.read(path)
    known = register.of(SET.hub_id)
    assert known and (known.commit, known.rows, known.digest) == (COMMIT, 6, read.digest)
    assert (read.origin, read.name) == (f"{SET.hub_id}@{COMMIT}",) * 2
    assert read.rows[0].others == (("year", "1990"),)


def test_the_word_hub_on_the_command_line_means_the_challenges_own(hub: HubServer, tmp_path: Path) -> None:
    words = ["--challenge", "finance", "--model", str(tmp_path), "--train-data", "hub"]
    asked = options.parser().parse_args(words)
    (config,) = options.runs(asked)
    assert data.read(config.train_data).origin == f"{SET.hub_id}@{COMMIT}"


def test_what_was_fetched_needs_the_hub_no_more_unless_it_was_changed(
    hub: HubServer, register: RegisterFile, tmp_path: Path
) -> None:
    path = training.fetch(SET, tmp_path / "rows", register)
    whole = path.read_bytes()
    hub.requests.clear()
    assert training.fetch(SET, tmp_path / "rows", register) == path
    assert hub.requests == []
    path.write_bytes(whole.replace(b"$AB", b"$CD"))
    assert training.fetch(SET, tmp_path / "rows", register).read_bytes() == whole


def test_the_commit_of_the_first_fetch_stays(hub: HubServer, register: RegisterFile, tmp_path: Path) -> None:
    training.fetch(SET, tmp_path / "rows", register)
    hub.branch = "other"
    again = training.fetch(SET, tmp_path / "elsewhere", register)
    assert again.name.endswith(f"@{COMMIT}.jsonl")


def test_other_rows_at_the_registered_commit_are_refused_by_name_and_not_kept(
    hub: HubServer, register: RegisterFile, tmp_path: Path
) -> None:
    training.fetch(SET, tmp_path / "rows", register)
    hub.files["data/train-00001-of-00002-0b.parquet"] = parquet(ROWS[5:])
    shutil.rmtree(constants.HF_HUB_CACHE)
    with pytest.raises(OtherRowsError, match=f"rows of {SET.hub_id} are not the registered ones"):
        training.fetch(SET, tmp_path / "elsewhere", register)
    assert not (tmp_path / "elsewhere").exists()


def test_a_hub_that_is_away_or_delivers_half_leaves_nothing(
    hub: HubServer, register: RegisterFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = "data/train-00001-of-00002-0b.parquet"
    hub.delivered = {broken: hub.files[broken][:-9]}
    with pytest.raises(HubError, match="is not what the hub announced"):
        training.fetch(SET, tmp_path / "rows", register)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        HubError, match=f"did not deliver the data set {SET.hub_id} .* or give the rows as a file"
    ):
        training.fetch(SET, tmp_path / "rows", register)
    assert not (tmp_path / "rows").exists() and register.all() == {}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"README.md": b"x"}, "has no file of rows"),
        ({"train.jsonl": b'{"text": "x"}\n'}, "column 'instruction': expected text"),
        ({"train.jsonl": b"\n"}, "has no rows"),
    ],
)
def test_what_is_no_training_set_is_named(
    files: dict[str, bytes], message: str, hub: HubServer, register: RegisterFile, tmp_path: Path
) -> None:
    hub.files = files
    with pytest.raises(DataError, match=message):
        training.fetch(SET, tmp_path / "rows", register)
    assert register.all() == {}


def test_rows_without_an_input_have_an_empty_one(
    hub: HubServer, register: RegisterFile, tmp_path: Path
) -> None:
    hub.files = {"a.parquet": parquet([{"instruction": "i", "input": None, "output": "o", "text": "t"}])}
    (row,) = data.read(training.fetch(SET, tmp_path / "rows", register)).rows
    assert (row.instruction, row.input, row.output) == ("i", "", "o")


def test_a_training_set_can_be_fetched_looked_at_and_adopted_beforehand(
    hub: HubServer, register: RegisterFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "--adopt", SET.hub_id, "--by", "ada"]) == 0
    known = register.of(SET.hub_id)
    assert known and known.by == "ada"
    assert main(["data", "--training-set", "finance", "--export", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert f"{SET.hub_id}@{COMMIT}: 6 rows" in shown and known.digest in shown
    assert [file.name for file in (tmp_path / "out").iterdir()] == [training.file_name(known)]


def test_a_folder_may_hold_a_challenges_rows_as_parquet(tmp_path: Path) -> None:
    (tmp_path / "finance.parquet").write_bytes(parquet(ROWS))
    lines = tmp_path / "rows.jsonl"
    lines.write_text("".join(json.dumps(row) + "\n" for row in PLAIN))
    found = data.read(data.locate(tmp_path, "finance"))
    assert (found.name, found.digest) == ("finance.parquet", data.read(lines).digest)
    shutil.copy(lines, tmp_path / "finance.jsonl")
    with pytest.raises(DataError, match=r"both finance\.jsonl and finance\.parquet"):
        data.locate(tmp_path, "finance")
