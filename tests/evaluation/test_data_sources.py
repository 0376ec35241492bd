"""The same rows are the same items, whichever file or hub they come from."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evaluation import benchmarks, data
from evaluation.benchmarks import BENCHMARKS, Benchmark
from evaluation.data import DEMONSTRATION_FOLDER, Dataset
from evaluation.errors import DataError, HubError
from evaluation.rules.protocol import CURRENT
from tests.evaluation.conftest import WriteRows
from tests.evaluation.hub_files import parquet, published
from tests.evaluation.hub_server import HubServer
from tests.profiles import examples

pyarrow = pytest.importorskip("pyarrow")
pytest.importorskip("pyarrow.parquet")

Rows = list[dict[str, Any]]
Publish = Callable[[str, Rows], AbstractContextManager[HubServer]]
TFNS: Rows = [{"text": "$AB rises", "label": 1}, {"text": 'says "no"\nand falls', "label": 0}]
OFFICIAL_FILES = sorted({benchmark.file for benchmark in BENCHMARKS.values() if benchmark.digest})
DEMONSTRATION_FILES = sorted(path.stem for path in DEMONSTRATION_FOLDER.glob("*.jsonl"))


def load(slug: str, location: str | Path | None, *, fetch: bool = True) -> Dataset:
    return data.load(benchmarks.get(slug), location, CURRENT, None, fetch=fetch)


def slugs_of(file: str) -> list[str]:
    return [benchmark.slug for benchmark in BENCHMARKS.values() if benchmark.file == file]


def rows_of(path: Path) -> Rows:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def write_parquet(path: Path, rows: Rows, schema: Any = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema), path)
    return path


@pytest.fixture
def publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Serve a benchmark's rows as its pinned data set."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)

    @contextmanager
    def serve(file: str, rows: Rows) -> Iterator[HubServer]:
        benchmark = BENCHMARKS[slugs_of(file)[0]]
        with published(benchmark, rows, {f"{file}.py": b"raise SystemExit"}) as server:
            monkeypatch.setenv("HF_ENDPOINT", server.url)
            yield server

    return serve


@pytest.mark.parametrize("benchmark", BENCHMARKS.values(), ids=BENCHMARKS.keys())
def test_the_hub_is_asked_for_data_files_only_and_for_a_commit_where_one_is_known(
    benchmark: Benchmark,
) -> None:
    assert all(name.endswith((".parquet", ".csv", ".json", ".zip")) for name in benchmark.hub.files)
    assert re.fullmatch(r"[0-9a-f]{40}", benchmark.hub.revision) or benchmark.slug == "fiqa"


@pytest.mark.parametrize("file", DEMONSTRATION_FILES)
def test_rows_from_the_hub_are_the_rows_of_a_file(file: str, publish: Publish, write_rows: WriteRows) -> None:
    rows = rows_of(DEMONSTRATION_FOLDER / f"{file}.jsonl")
    if file == "mmlu":
        rows.sort(key=lambda row: str(row["subset"]))
    folder = write_rows(file, rows)
    with publish(file, rows) as server:
        for slug in slugs_of(file):
            local, fetched = load(slug, folder), load(slug, None)
            assert (fetched.digest, fetched.available) == (local.digest, local.available)
            assert [s.prompt for s in fetched.samples] == [s.prompt for s in local.samples]
            assert [s.target for s in fetched.samples] == [s.target for s in local.samples]
            assert fetched.source.startswith(f"{server.repo}@{server.commit}: ")
    assert not any(path.endswith(".py") for path in server.requests)


@pytest.mark.parametrize("file", DEMONSTRATION_FILES)
def test_rows_in_parquet_are_the_rows_in_json_lines(file: str, tmp_path: Path) -> None:
    rows = rows_of(DEMONSTRATION_FOLDER / f"{file}.jsonl")
    folder = write_parquet(tmp_path / f"{file}.parquet", rows).parent
    for slug in slugs_of(file):
        original, copy = load(slug, "demonstration"), load(slug, folder)
        assert (copy.digest, copy.samples, copy.kind) == (original.digest, original.samples, "demonstration")


@pytest.mark.parametrize("file", OFFICIAL_FILES)
def test_the_real_rows_are_official_in_parquet_too(file: str, shared: Path, tmp_path: Path) -> None:
    rows = rows_of(shared / "data" / "eval" / f"{file}.jsonl")
    folder = write_parquet(tmp_path / f"{file}.parquet", rows).parent
    for slug in slugs_of(file):
        assert load(slug, folder).unofficial == ()


@pytest.mark.parametrize("file", OFFICIAL_FILES)
def test_the_real_rows_are_official_from_the_hub_too(file: str, shared: Path, publish: Publish) -> None:
    with publish(file, rows_of(shared / "data" / "eval" / f"{file}.jsonl")):
        for slug in slugs_of(file):
            assert load(slug, None).unofficial == ()


def test_labels_are_the_same_as_numbers_of_any_width_and_as_names(tmp_path: Path) -> None:
    names = ["positive", "negative"]
    digests = set()
    for kind in (pyarrow.int8(), pyarrow.int64(), pyarrow.float64(), pyarrow.string()):
        labels = [row["label"] if kind != pyarrow.string() else n for row, n in zip(TFNS, names, strict=True)]
        rows = [row | {"label": label} for row, label in zip(TFNS, labels, strict=True)]
        schema = pyarrow.schema([("text", pyarrow.large_string()), ("label", kind)])
        digests.add(load("tfns", write_parquet(tmp_path / "tfns.parquet", rows, schema).parent).digest)
    assert len(digests) == 1


def test_categories_and_doubles_as_ids_are_read_as_what_they_stand_for(
    tmp_path: Path, write_rows: WriteRows
) -> None:
    rows = [
        {"task_id": i, "text": "Add.", "code": "", "test_list": ["assert True"], "test_setup_code": ""}
        for i in (11, 12)
    ]
    schema = pyarrow.schema(
        [
            ("task_id", pyarrow.float64()),
            ("text", pyarrow.dictionary(pyarrow.int8(), pyarrow.string())),
            ("test_list", pyarrow.list_(pyarrow.string())),
            ("test_setup_code", pyarrow.string()),
        ]
    )
    copy = load("mbpp", write_parquet(tmp_path / "parquet" / "mbpp.parquet", rows, schema).parent)
    original = load("mbpp", write_rows("mbpp", rows))
    assert (copy.digest, [s.key for s in copy.samples]) == (original.digest, ["11", "12"])


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
FIQA_ROW = st.fixed_dictionaries(
    {
        "sentence": TEXT,
        "sentiment_score": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-1, 1).map(float),
        "format": st.sampled_from(["post", "headline"]),
    }
)
MEDQA_ROW = st.lists(TEXT, min_size=4, max_size=4).map(
    lambda values: {
        "question": values[3],
        "answer": values[0],
        "options": [{"key": key, "value": value} for key, value in zip("ABCD", values, strict=True)],
    }
)
PUBMEDQA_ROW = st.fixed_dictionaries(
    {
        "QUESTION": TEXT,
        "CONTEXTS": st.lists(TEXT, max_size=3),
        "final_decision": st.sampled_from(["yes", "no", "maybe"]),
    }
)
ROWS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "fiqa": FIQA_ROW,
    "medqa": MEDQA_ROW,
    "pubmedqa": PUBMEDQA_ROW,
}


@pytest.mark.parametrize("slug", ROWS)
@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(25))
def test_any_rows_survive_json_lines_and_parquet(
    tmp_path_factory: pytest.TempPathFactory, slug: str, drawn: st.DataObject
) -> None:
    rows: Rows = drawn.draw(st.lists(ROWS[slug], min_size=1, max_size=6))
    folder = tmp_path_factory.mktemp("rows")
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / f"{slug}.jsonl").write_text(lines, encoding="utf-8")
    original = load(slug, folder)
    copy = load(slug, write_parquet(folder / "parquet" / f"{slug}.parquet", rows).parent)
    assert (copy.digest, copy.samples) == (original.digest, original.samples)
    (exported,) = data.export(folder, folder / "out", benchmarks=[benchmarks.get(slug)])
    again = load(slug, exported.parent)
    assert (again.digest, again.samples) == (original.digest, original.samples)


def test_whole_numbers_may_be_written_either_way_but_text_and_truth_are_no_numbers(
    write_rows: WriteRows,
) -> None:
    row = {"sentence": "x", "format": "post", "sentiment_score": 0.0}
    digest = load("fiqa", write_rows("fiqa", [row])).digest
    assert load("fiqa", write_rows("fiqa", [row | {"sentiment_score": 0}])).digest == digest
    for score in ("0", True, None, 10**400):
        with pytest.raises(DataError, match="column 'sentiment_score': expected a number"):
            load("fiqa", write_rows("fiqa", [row | {"sentiment_score": score}]))


def test_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    rows: Rows = [{"sentence": "x", "format": "post", "sentiment_score": s} for s in (0.1, float("nan"))]
    with pytest.raises(DataError, match=r"fiqa\.parquet, row 2, column 'sentiment_score': expected a number"):
        load("fiqa", write_parquet(tmp_path / "fiqa.parquet", rows).parent)


def test_two_files_for_one_benchmark_are_refused(tmp_path: Path, write_rows: WriteRows) -> None:
    folder = write_rows("tfns", TFNS)
    write_parquet(folder / "tfns.parquet", TFNS)
    with pytest.raises(DataError, match=r"has both tfns\.jsonl and tfns\.parquet"):
        load("tfns", folder)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "x", "label": 7}, "column 'label': expected one of 0, 1, 2, or negative, .* found 7"),
        ({"text": "x", "label": None}, "column 'label': expected one of .* found None"),
        ({"text": None, "label": 1}, "column 'text': expected text, found None"),
    ],
)
def test_a_bad_row_in_parquet_is_named(row: dict[str, Any], message: str, tmp_path: Path) -> None:
    write_parquet(tmp_path / "tfns.parquet", [*TFNS, row])
    with pytest.raises(DataError, match=rf"tfns\.parquet, row 3, {message}"):
        load("tfns", tmp_path)


def test_a_column_that_parquet_lacks_is_named(tmp_path: Path) -> None:
    write_parquet(tmp_path / "tfns.parquet", [{"text": "x", "Label": 1}])
    with pytest.raises(DataError, match=r"tfns\.parquet, row 1: there is no column 'label'"):
        load("tfns", tmp_path)


def test_damaged_parquet_is_named(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "tfns.parquet", TFNS)
    whole = path.read_bytes()
    for damaged in (b"", b"PAR1", whole[:-9], b"text,label\n", whole.replace(b"PAR1", b"PAR2")):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"tfns\.parquet (is no intact Parquet file|cannot be read)"):
            load("tfns", tmp_path)


def test_a_hub_file_of_another_form_is_named(publish: Publish, monkeypatch: pytest.MonkeyPatch) -> None:
    with publish("mmlu", []) as server:
        path = BENCHMARKS["mmlu_stem"].hub.files[0]
        for bad in (
            {"question": "x", "choices": ["1", "2"], "answer": 0, "subject": "anatomy"},
            {"input": "x"},
        ):
            server.files[path] = parquet([bad])
            monkeypatch.setattr(constants, "HF_HUB_CACHE", f"{constants.HF_HUB_CACHE}/again")
            with pytest.raises(DataError, match=r"parquet, row 1: not in the form of cais/mmlu"):
                load("mmlu_stem", None)


def test_an_archive_without_the_member_is_named(publish: Publish, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../../escape.txt", "x@neutral")
    with publish("fpb", []) as server:
        for content, message in ((buffer.getvalue(), "has no member"), (b"PK\x03\x04", "no intact ZIP")):
            server.files[BENCHMARKS["fpb"].hub.files[0]] = content
            monkeypatch.setattr(constants, "HF_HUB_CACHE", f"{constants.HF_HUB_CACHE}/again")
            with pytest.raises(DataError, match=message):
                load("fpb", None)


def test_data_that_cannot_be_fetched_name_the_benchmarks_file(publish: Publish) -> None:
    with publish("tfns", TFNS), pytest.raises(HubError, match=r"holds tfns\.jsonl or tfns\.parquet"):
        load("tfns", None, fetch=False)


def test_other_rows_from_the_hub_are_not_official(publish: Publish) -> None:
    with publish("tfns", TFNS):
        (reason,) = load("tfns", None).unofficial
    assert "not the official ones of TFNS" in reason
    assert "2 items" in reason
