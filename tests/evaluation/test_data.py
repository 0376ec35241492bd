"""Reading benchmark data, choosing items, and knowing official data when it sees them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from evaluation import benchmarks, data
from evaluation.benchmarks import BENCHMARKS
from evaluation.data import Dataset, quarter
from evaluation.errors import DataError
from evaluation.rules.protocol import CURRENT
from tests.evaluation.conftest import WriteRows

TFNS = [{"text": f"$AB rises {i}%", "label": i % 3} for i in range(10)]
MEDQA = {
    "question": "Which bone is the longest?",
    "answer": "Femur",
    "options": [
        {"key": key, "value": value}
        for key, value in zip("ABCD", ("Tibia", "Femur", "Ulna", "Rib"), strict=True)
    ],
}


def load(slug: str, location: str | Path | None, limit: int | None = None) -> Dataset:
    return data.load(benchmarks.get(slug), location, CURRENT, limit)


@pytest.mark.parametrize("slug", [b.slug for b in BENCHMARKS.values() if b.digest])
def test_the_real_data_are_official(slug: str, shared: Path) -> None:
    dataset = load(slug, shared / "data" / "eval")
    assert (dataset.kind, dataset.unofficial) == ("official", ())
    assert len(dataset.samples) == benchmarks.get(slug).rows


@pytest.mark.parametrize(
    ("slug", "reason"),
    [
        ("fiqa", "294 from 1,173 rows, official 304 from 1,213"),
        ("fiqa", "no official digest"),
        ("careqa", "stand-in"),
    ],
)
def test_rows_that_are_not_the_benchmarks_are_not_official(slug: str, reason: str, shared: Path) -> None:
    dataset = load(slug, shared / "data" / "eval")
    assert dataset.kind == "other"
    assert reason in " ".join(dataset.unofficial)


def test_official_rows_are_known_whatever_file_they_come_from(shared: Path, write_rows: WriteRows) -> None:
    lines = (shared / "data" / "eval" / "pubmedqa.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    fewer_columns = [
        {"CONTEXTS": row["CONTEXTS"], "final_decision": row["final_decision"], "QUESTION": row["QUESTION"]}
        for row in rows
    ]
    assert load("pubmedqa", write_rows("pubmedqa", fewer_columns)).kind == "official"
    changed = [fewer_columns[0] | {"final_decision": "maybe"}, *fewer_columns[1:]]
    assert load("pubmedqa", write_rows("pubmedqa", changed)).kind == "other"
    assert load("pubmedqa", write_rows("pubmedqa", fewer_columns[::-1])).kind == "other"


@pytest.mark.parametrize("slug", list(BENCHMARKS))
def test_the_demonstration_data_are_known_as_such_even_as_a_copy(slug: str, tmp_path: Path) -> None:
    built_in = load(slug, "demonstration")
    copied = load(slug, shutil.copytree(data.DEMONSTRATION_FOLDER, tmp_path / "copy"))
    assert built_in.kind == copied.kind == "demonstration"
    assert built_in.samples == copied.samples
    assert "demonstration" in built_in.unofficial[0]


@pytest.mark.parametrize("n", [2, 3, 4, 5, 40, 171, 1_213, 4_846])
def test_the_quarter_is_the_one_of_the_datasets_library(n: int) -> None:
    datasets = pytest.importorskip("datasets")
    split = datasets.Dataset.from_dict({"position": range(n)}).train_test_split(0.25, seed=42)
    assert quarter(n) == list(split["test"]["position"])


def leaked(dataset: Dataset) -> list[int]:
    return [position for position, sample in enumerate(dataset.samples) if sample.leaked]


def test_items_that_stand_on_both_sides_of_the_split_are_known(write_rows: WriteRows) -> None:
    rows = [{"sentence": f"Sales rose {i} %.", "label": 2} for i in range(40)]
    tested = quarter(40)
    untested = next(i for i in range(40) if i not in tested)
    assert leaked(load("fpb", write_rows("fpb", rows))) == []
    rows[untested] = {"sentence": f"  sales rose  {tested[3]} %.", "label": 1}
    assert leaked(load("fpb", write_rows("fpb", rows))) == [3]
    rows[tested[5]] = dict(rows[tested[4]])
    assert leaked(load("fpb", write_rows("fpb", rows))) == [3]


def test_items_that_the_training_set_took_from_a_smaller_split_are_known(write_rows: WriteRows) -> None:
    rows = [{"sentence": f"$AB {i}", "sentiment_score": 0.5, "format": "post"} for i in range(1_213)]
    whole = load("fiqa", write_rows("fiqa", rows))
    assert leaked(whole) == list(range(275, 304))
    (reason,) = whole.unofficial
    assert reason.startswith("no official digest is recorded for FiQA yet")
    outside = next(i for i in range(1_213) if i not in quarter(1_213))
    rows[outside]["sentence"] = rows[quarter(1_213)[0]]["sentence"]
    assert leaked(load("fiqa", write_rows("fiqa", rows))) == [0, *range(275, 304)]


def test_five_sentences_of_the_real_fpb_are_leaked(shared: Path) -> None:
    found = leaked(load("fpb", shared / "data" / "eval"))
    assert len(found) == 5 and tuple(found) == BENCHMARKS["fpb"].leaked


def test_the_demonstration_rows_are_in_nobodys_training_set() -> None:
    assert leaked(load("fiqa", "demonstration")) == []


def test_a_limit_takes_items_evenly_and_makes_the_score_unofficial(write_rows: WriteRows) -> None:
    folder = write_rows("tfns", TFNS)
    whole, limited = load("tfns", folder), load("tfns", folder, limit=4)
    assert [sample.id for sample in limited.samples] == [0, 2, 5, 7]
    assert (limited.available, limited.digest) == (10, whole.digest)
    assert "only 4 of 10 items were asked" in limited.unofficial
    assert load("tfns", folder, limit=10).unofficial == load("tfns", folder, limit=99).unofficial
    with pytest.raises(DataError, match="at least 1"):
        load("tfns", folder, limit=0)


def test_a_smoke_run_asks_the_same_few_items_each_subject_and_answer_by_its_share(
    write_rows: WriteRows,
) -> None:
    rows = [{"text": f"$AB rises {i}%", "label": 0 if i % 10 else 1 + i // 10 % 2} for i in range(200)]
    folder, benchmark = write_rows("tfns", rows), benchmarks.get("tfns")

    def smoke_run(limit: int | None = None) -> Dataset:
        return data.load(benchmark, folder, CURRENT, limit, smoke_run=True)

    chosen = smoke_run()
    assert [sample.id for sample in chosen.samples] == sorted({s.id for s in chosen.samples})
    # 180, 10 and 10 of 200 are 18, 1 and 1 of 20.
    targets = [sample.target for sample in chosen.samples]
    assert sorted(targets.count(target) for target in set(targets)) == [1, 1, 18]
    assert chosen == smoke_run() and chosen.available == 200
    assert "it was a smoke run" in chosen.unofficial
    assert len(smoke_run(limit=4).samples) == 4
    few = data.load(benchmark, write_rows("tfns", TFNS), CURRENT, None, smoke_run=True)
    assert len(few.samples) == 10 and "it was a smoke run" in few.unofficial


def test_ids_are_the_data_sets_own_where_every_row_has_one(write_rows: WriteRows) -> None:
    rows = [{"QUESTION": "Is it?", "CONTEXTS": ["x"], "final_decision": "no"} for _ in range(2)]
    assert [s.id for s in load("pubmedqa", write_rows("pubmedqa", rows)).samples] == [0, 1]
    named = [row | {"PUBMED_ID": f"1{i}"} for i, row in enumerate(rows)]
    assert [s.id for s in load("pubmedqa", write_rows("pubmedqa", named)).samples] == ["10", "11"]
    twice = [row | {"PUBMED_ID": "10"} for row in rows]
    with pytest.raises(DataError, match="two items have the id '10'"):
        load("pubmedqa", write_rows("pubmedqa", twice))


def test_mmlu_rows_go_to_their_groups(write_rows: WriteRows) -> None:
    row = {"input": "2 + 2", "A": "3", "B": "4", "C": "5", "D": "6", "target": "B"}
    subjects = ("college_physics", "virology", "world_religions")
    folder = write_rows("mmlu", [row | {"subset": subject} for subject in subjects])
    (sample,) = load("mmlu_stem", folder).samples
    assert (sample.group, sample.target) == ("college_physics", "b")
    with pytest.raises(DataError, match="no row for mmlu_social_sciences"):
        load("mmlu_social_sciences", folder)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "x"}, "line 2: there is no column 'label'"),
        (
            {"text": "x", "label": 3},
            "line 2, column 'label': expected one of 0, 1, 2, or negative, .* found 3",
        ),
        ({"text": "x", "label": True}, "line 2, column 'label'"),
        ({"text": None, "label": 1}, "line 2, column 'text': expected text, found None"),
        (["x", 1], "line 2: not a JSON object"),
    ],
)
def test_a_bad_row_is_named(row: Any, message: str, write_rows: WriteRows) -> None:
    with pytest.raises(DataError, match=message):
        load("tfns", write_rows("tfns", [TFNS[0], row]))


def test_an_answer_outside_the_options_is_named(write_rows: WriteRows) -> None:
    assert load("medqa", write_rows("medqa", [MEDQA])).samples[0].target == "b"
    with pytest.raises(DataError, match="item 1: the answer 'Skull' is none of the options"):
        load("medqa", write_rows("medqa", [MEDQA, MEDQA | {"answer": "Skull"}]))
    with pytest.raises(DataError, match="four options A to D"):
        load("medqa", write_rows("medqa", [MEDQA | {"options": MEDQA["options"][:3]}]))


def test_missing_data_say_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        load("mmlu_stem", tmp_path / "nowhere")
    (tmp_path / "rows.jsonl").touch()
    with pytest.raises(DataError, match=r"rows\.jsonl is a file; give the folder"):
        load("tfns", tmp_path / "rows.jsonl")
    with pytest.raises(DataError, match=r"has no tfns\.jsonl or tfns\.parquet, which would hold"):
        load("tfns", tmp_path)


@pytest.mark.parametrize(("content", "message"), [(b"{nope\n", "line 1: not JSON"), (b"\xff\xfe{", "UTF-8")])
def test_unreadable_files_are_named(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "tfns.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=message):
        load("tfns", tmp_path)
