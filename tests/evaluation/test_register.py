"""Rows of which this project knows no digest: taken at first sight or adopted, and no others from then on."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from huggingface_hub import constants

from evaluation import benchmarks, data
from evaluation.__main__ import main
from evaluation.data import Given, OtherRowsError, RegisterFile
from evaluation.errors import DataError
from evaluation.rules.protocol import CURRENT
from evaluation.wire.registration import Registration
from tests.evaluation.conftest import WriteRows
from tests.evaluation.hub_files import careqa_rows, files, fiqa_rows, published
from tests.evaluation.hub_server import HubServer

FIQA, CAREQA = benchmarks.get("fiqa"), benchmarks.get("careqa")
REGISTERED = Registration("fiqa", "a/b", "c" * 40, 304, "d" * 64, "", "2026-11-28T10:00:00+00:00")


@pytest.fixture
def register(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RegisterFile:
    monkeypatch.setenv("EVALUATION_REGISTER", str(tmp_path / "kept" / "register.json"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return RegisterFile()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """FiQA on its branch, and CareQA at its commit."""
    fiqa = published(FIQA, fiqa_rows(), commit="f" * 40)
    with fiqa:
        fiqa.others = [published(CAREQA, careqa_rows())]
        monkeypatch.setenv("HF_ENDPOINT", fiqa.url)
        yield fiqa


def load(slug: str, register: data.Register, location: Path | None = None) -> data.Dataset:
    return data.load(benchmarks.get(slug), location, CURRENT, None, register=register)


def test_rows_of_a_pinned_data_set_are_official_at_first_sight(
    hub: HubServer, register: RegisterFile
) -> None:
    first = load("careqa", register)
    assert (first.kind, first.unofficial) == ("official", ())
    assert first.origin == f"{CAREQA.hub.dataset}@{CAREQA.hub.revision}"
    known = register.of("careqa")
    assert known and (known.digest, known.rows, known.by) == (first.digest, 5_621, "")
    assert load("careqa", register) == first


def test_too_few_rows_of_a_pinned_data_set_are_not(hub: HubServer, register: RegisterFile) -> None:
    hub.others[0].files = files(CAREQA, careqa_rows(5_620))
    assert load("careqa", register).unofficial[0].endswith("5,620 from 5,620 rows, official 5,621 from 5,621")
    assert register.of("careqa") is None


def test_rows_of_a_branch_are_official_once_somebody_adopted_them(
    hub: HubServer, register: RegisterFile, capsys: pytest.CaptureFixture[str]
) -> None:
    (reason,) = load("fiqa", register).unofficial
    assert "`python -m evaluation data --adopt fiqa` records one" in reason
    assert register.of("fiqa") is None
    assert main(["data", "--adopt", "fiqa", "--by", "ada"]) == 0
    known = register.of("fiqa")
    assert known and (known.commit, known.rows, known.by) == (hub.commit, 304, "ada")
    shown = capsys.readouterr().out
    for text in (hub.commit, known.digest, "304", '"sentence": "$AB', "by ada", str(register.path)):
        assert text in shown
    assert load("fiqa", register).unofficial == ()
    assert main(["data", "--benchmark", "fiqa", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["benchmarks"]["fiqa"]["official"] is True


def test_what_was_adopted_stays_when_the_branch_moves_on(hub: HubServer, register: RegisterFile) -> None:
    register.record(data.candidate("fiqa", "ada").registration)
    adopted = load("fiqa", register)
    hub.files, hub.branch = files(FIQA, fiqa_rows(word="falls")), "other"
    assert load("fiqa", register) == adopted


def test_other_rows_are_refused_by_name(
    hub: HubServer,
    register: RegisterFile,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert main(["data", "--adopt", "fiqa", "--by", "ada"]) == 0
    known = register.of("fiqa")
    assert known
    with published(FIQA, fiqa_rows(word="falls"), commit="e" * 40) as moved:
        monkeypatch.setenv("HF_ENDPOINT", moved.url)
        assert main(["data", "--adopt", "fiqa", "--by", "bob"]) == 1
    told = " ".join(capsys.readouterr().err.split())
    for text in (
        "rows of fiqa",
        known.digest[:12],
        f"@{'f' * 40}",
        "adopted by ada",
        f"@{'e' * 40}",
        "delete its",
    ):
        assert text in told
    assert register.of("fiqa") == known
    with pytest.raises(OtherRowsError, match="rows of fiqa are not the registered ones"):
        load("fiqa", Given([replace(known, digest="0" * 64)]))


def test_rows_of_a_folder_are_never_recorded_but_official_where_they_equal_registered_ones(
    hub: HubServer, register: RegisterFile, write_rows: WriteRows
) -> None:
    rows = fiqa_rows()
    folder = write_rows("fiqa", rows)
    assert "no official digest" in load("fiqa", register, folder).unofficial[0]
    assert register.all() == {}
    register.record(data.candidate("fiqa", "ada").registration)
    same = load("fiqa", register, folder)
    assert (same.unofficial, same.origin) == ((), f"{FIQA.hub.dataset}@{hub.commit}")
    (reason,) = load("fiqa", register, write_rows("fiqa", rows[::-1])).unofficial
    assert "not the official ones of FiQA" in reason


def test_nothing_becomes_official_by_rows_in_another_order_or_of_another_data_set(
    register: RegisterFile, shared: Path
) -> None:
    for slug in ("fiqa", "careqa"):
        assert load(slug, register, shared / "data" / "eval").unofficial
    assert register.all() == {}


def test_only_what_is_as_it_should_be_can_be_adopted(hub: HubServer, register: RegisterFile) -> None:
    hub.files = files(FIQA, fiqa_rows(1_212))
    with pytest.raises(DataError, match=r"FiQA has 304 items from 1,213 rows; .* 303 from 1,212"):
        data.candidate("fiqa", "ada")
    with pytest.raises(DataError, match="digest of TFNS is part of this project"):
        data.candidate("tfns", "ada")
    assert main(["data", "--adopt", "fqia"]) == 1


def test_of_several_processes_the_first_one_decides(register: RegisterFile) -> None:
    def registration(number: int) -> Registration:
        return replace(REGISTERED, digest=f"{number:064}")

    refused: list[int] = []

    def record(number: int) -> None:
        try:
            RegisterFile(register.path).record(registration(number))
        except OtherRowsError:
            refused.append(number)

    threads = [threading.Thread(target=record, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    known = register.of("fiqa")
    assert known and len(refused) == 7
    assert int(known.digest) not in refused


@pytest.mark.parametrize(
    "changes",
    [
        {"digest": "3"},
        {"commit": "c" * 41},
        {"rows": 2**31},
        {"by": "Ada\x00"},
        {"at": "yesterday"},
        {"at": "2026-11-28T10:00:00"},
        {"name": "careqa"},
    ],
    ids=str,
)
def test_a_spoiled_register_is_named_and_kept(register: RegisterFile, changes: dict[str, object]) -> None:
    content = json.dumps({"fiqa": asdict(REGISTERED) | changes})
    register.path.parent.mkdir()
    register.path.write_text(content)
    with pytest.raises(DataError, match=r"register\.json cannot be read"):
        register.of("fiqa")
    assert register.path.read_text() == content


def test_what_is_registered_may_stand_where_nobody_can_write(
    hub: HubServer, register: RegisterFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    register.record(data.candidate("fiqa", "ada").registration)
    monkeypatch.setattr(RegisterFile, "_locked", lambda _: pytest.fail("nothing is to be written"))
    assert load("fiqa", register).unofficial == ()


@pytest.mark.parametrize("name", ["Ada\nLovelace", "Ad\udcffa", "a" * 121])
def test_a_name_that_cannot_be_shown_adopts_nothing(name: str, register: RegisterFile) -> None:
    assert main(["data", "--adopt", "fiqa", "--by", name]) == 1
    assert register.all() == {}
