"""The built-in demonstration data: complete, well-formed, balanced, and nobody else's text."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from evaluation import data
from evaluation.benchmarks import BENCHMARKS, Benchmark
from evaluation.benchmarks.finance import LABELS
from evaluation.data import DEMONSTRATION_FOLDER as DATA
from evaluation.data.training import COLUMNS
from evaluation.federated.data import DEMONSTRATION as TRAIN
from evaluation.rules import protocol

Row = dict[str, Any]
LETTERS = "ABCD"
LABELLED_FILES = ("mmlu", "fpb", "fiqa", "tfns", "pubmedqa", "medmcqa", "medqa", "careqa")
PROGRAM_FILES = ("mbpp", "humaneval", "multipl_e_js", "multipl_e_cpp")
EVALUATION_FILES = (*LABELLED_FILES, *PROGRAM_FILES)
TRAINING_FILES = ("general_nlp", "finance", "medical", "code")
COLUMN_TYPES: dict[str, dict[str, type]] = {
    "mmlu": dict.fromkeys(("input", *LETTERS, "target", "subset"), str),
    "fpb": {"sentence": str, "label": int},
    "fiqa": {"sentence": str, "sentiment_score": float, "format": str, "id": str},
    "tfns": {"text": str, "label": int},
    "pubmedqa": {"PUBMED_ID": str, "QUESTION": str, "CONTEXTS": list, "final_decision": str},
    "medmcqa": dict.fromkeys(("id", "question", "opa", "opb", "opc", "opd"), str)
    | {"cop": int, "subject_name": str},
    "medqa": {"meta_info": str, "question": str, "answer_idx": str, "answer": str, "options": list},
    "careqa": {"exam_id": str, "year": int, "category": str}
    | dict.fromkeys(("question", "op1", "op2", "op3", "op4"), str)
    | {"cop": int},
    "mbpp": {"text": str, "code": str, "task_id": int, "test_setup_code": str}
    | dict.fromkeys(("test_list", "challenge_test_list"), list),
    "humaneval": dict.fromkeys(("task_id", "prompt", "entry_point", "canonical_solution", "test"), str),
}
for _name in ("multipl_e_js", "multipl_e_cpp"):
    COLUMN_TYPES[_name] = dict.fromkeys(("name", "language", "prompt", "tests"), str)
    COLUMN_TYPES[_name] |= {"stop_tokens": list, "solution": str}
OWN_COLUMNS = {"multipl_e_js": {"solution"}, "multipl_e_cpp": {"solution"}}
"""Columns that the real data lack."""
IDS = {"fiqa": "id", "pubmedqa": "PUBMED_ID", "medmcqa": "id", "careqa": "exam_id"}
MULTIPLE_CHOICE = {
    "mmlu": tuple(LETTERS),
    "medmcqa": ("opa", "opb", "opc", "opd"),
    "careqa": ("op1", "op2", "op3", "op4"),
}
RUN = 8
"""So many words in a row in two texts mean that one was taken from the other."""
IMPORTS = ("#include", "from typing import ")
"""How lines of a prompt begin that many prompts share."""
RATIO = 1.5
"""How many times more frequent than the rarest class the most frequent one may be."""


def _rows(path: Path) -> list[Row]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _evaluation(name: str) -> list[Row]:
    return _rows(DATA / f"{name}.jsonl")


def _training(name: str) -> list[Row]:
    return _rows(TRAIN / f"{name}.jsonl")


def _text(row: Row) -> str:
    """What a row says of its own: not its options, whose words recur, nor what many rows share.

    Of a program, what precedes the examples, and the solution.
    """
    if "instruction" in row:
        question = row["input"].partition("\n\nOptions:\n")[0].removeprefix("Question: ")
        return f"{question or row['instruction']} {row['output']}"
    if "CONTEXTS" in row:
        return " ".join([*row["CONTEXTS"], row["QUESTION"]])
    if "prompt" in row or "code" in row:
        lines = row.get("prompt", "").partition(">>>")[0].splitlines()
        parts = (row.get(column, "") for column in ("text", "code", "canonical_solution", "solution"))
        return "\n".join([*(line for line in lines if not line.startswith(IMPORTS)), *parts])
    text: str = next(row[column] for column in ("sentence", "text", "input", "question") if column in row)
    return text


def _words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"[a-z0-9]+", text.lower()))


def _runs(words: Sequence[str]) -> set[tuple[str, ...]]:
    return {tuple(words[i : i + RUN]) for i in range(len(words) - RUN + 1)}


def _balanced(labels: Sequence[object], classes: int) -> bool:
    counts = Counter(labels)
    return len(counts) == classes and max(counts.values()) <= RATIO * min(counts.values())


def _evaluation_texts() -> Iterator[tuple[str, str]]:
    """Where each evaluation row stands, and its text."""
    for name in EVALUATION_FILES:
        for number, row in enumerate(_evaluation(name), 1):
            yield f"data/{name}.jsonl:{number}", _text(row)


def _training_texts() -> Iterator[tuple[str, str]]:
    for name in TRAINING_FILES:
        for number, row in enumerate(_training(name), 1):
            yield f"train/{name}.jsonl:{number}", _text(row)


@pytest.mark.parametrize("benchmark", BENCHMARKS.values(), ids=BENCHMARKS.keys())
def test_every_benchmark_has_enough_items_and_they_are_marked_as_demonstration(
    benchmark: Benchmark,
) -> None:
    dataset = data.load(benchmark, data.DEMONSTRATION, protocol.CURRENT, None)
    # Answers that are programs are long, and each is run.
    assert len(dataset.samples) >= (40 if benchmark.language is None else 16)
    assert dataset.kind == "demonstration"
    assert dataset.unofficial


@pytest.mark.parametrize("benchmark", BENCHMARKS.values(), ids=BENCHMARKS.keys())
def test_every_benchmark_asks_for_each_of_its_labels_about_equally_often(benchmark: Benchmark) -> None:
    dataset = data.load(benchmark, data.DEMONSTRATION, protocol.CURRENT, None)
    assert {sample.target for sample in dataset.samples} == {label.lower() for label in benchmark.labels}
    assert _balanced([sample.target for sample in dataset.samples], len(benchmark.labels))


@pytest.mark.parametrize("slug", ["mmlu_stem", "mmlu_social_sciences", "mmlu_humanities"])
def test_every_group_of_mmlu_spans_at_least_five_subjects(slug: str) -> None:
    dataset = data.load(BENCHMARKS[slug], data.DEMONSTRATION, protocol.CURRENT, None)
    assert len({sample.group for sample in dataset.samples}) >= 5


def test_every_subject_of_mmlu_belongs_to_a_group() -> None:
    groups = [BENCHMARKS[f"mmlu_{group}"] for group in ("stem", "social_sciences", "humanities")]
    for row in _evaluation("mmlu"):
        assert sum(group.selects(row) for group in groups) == 1, row


@pytest.mark.parametrize("name", ["fpb", "fiqa"])
def test_the_test_quarter_alone_would_hold_forty_items_of_all_sentiments(name: str) -> None:
    rows = _evaluation(name)
    chosen = [rows[position] for position in data.quarter(len(rows))]
    labels = [BENCHMARKS[name].ask(row, protocol.CURRENT).target for row in chosen]
    assert len(labels) >= 40
    assert _balanced(labels, len(LABELS))


@pytest.mark.parametrize("name", EVALUATION_FILES)
def test_evaluation_rows_have_the_columns_of_the_real_data_in_their_types(name: str) -> None:
    expected = list(COLUMN_TYPES[name].items())
    for row in _evaluation(name):
        assert [(column, type(value)) for column, value in row.items()] == expected


@pytest.mark.parametrize("name", LABELLED_FILES)
def test_no_text_is_empty_or_has_space_around_it(name: str) -> None:
    for row in _evaluation(name):
        assert all(value == value.strip() and value for value in row.values() if isinstance(value, str))


def test_column_names_and_types_are_those_of_the_real_files(shared: Path) -> None:
    for name in EVALUATION_FILES:
        path = shared / "data" / "eval" / f"{'careqa_proxy' if name == 'careqa' else name}.jsonl"
        real = _rows(path)[0]
        own = OWN_COLUMNS.get(name, set())
        ours = {column: kind for column, kind in COLUMN_TYPES[name].items() if column not in own}
        assert own.isdisjoint(real)
        assert {column: type(real[column]) for column in ours} == ours
        assert [column for column in real if column in ours] == list(ours)


@pytest.mark.parametrize("name", IDS)
def test_ids_are_unique_and_read_as_demonstration(name: str) -> None:
    ids = [row[IDS[name]] for row in _evaluation(name)]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"demo-\d{3}", item) for item in ids)


@pytest.mark.parametrize("name", MULTIPLE_CHOICE)
def test_the_four_options_of_a_question_differ(name: str) -> None:
    for row in _evaluation(name):
        assert len({row[column].casefold() for column in MULTIPLE_CHOICE[name]}) == 4, row


def test_the_answer_of_a_medqa_row_is_the_option_that_its_key_names() -> None:
    for row in _evaluation("medqa"):
        options = {option["key"]: option["value"] for option in row["options"]}
        assert "".join(options) == LETTERS
        assert len({value.casefold() for value in options.values()}) == 4
        assert options[row["answer_idx"]] == row["answer"]
        assert row["meta_info"] in ("step1", "step2&3")


def test_fiqa_scores_lie_in_range_and_both_formats_are_common() -> None:
    rows = _evaluation("fiqa")
    assert all(-1 <= row["sentiment_score"] <= 1 for row in rows)
    assert _balanced([row["format"] for row in rows], 2)
    assert {row["format"] for row in rows} == {"headline", "post"}


def test_questions_and_abstracts_are_short_enough_for_a_processor() -> None:
    for row in _evaluation("pubmedqa"):
        assert 2 <= len(row["CONTEXTS"]) <= 3
        assert len(" ".join(row["CONTEXTS"]).split()) <= 80
    for name in ("mmlu", "medmcqa", "medqa", "careqa"):
        assert all(len(_text(row).split()) <= 60 for row in _evaluation(name))


@pytest.mark.parametrize(
    ("name", "least"), [("general_nlp", 160), ("finance", 160), ("medical", 160), ("code", 60)]
)
def test_training_rows_are_filled_in_and_numerous_enough(name: str, least: int) -> None:
    rows = _training(name)
    assert len(rows) >= least
    for row in rows:
        assert tuple(row) == COLUMNS
        assert all(isinstance(value, str) for value in row.values())
        assert row["instruction"] and row["output"]


def test_finance_training_rows_ask_as_the_benchmarks_do_and_are_balanced() -> None:
    rows = _training("finance")
    for kind in ("news", "tweet"):
        prompts = [
            row
            for row in rows
            if protocol.CURRENT.sentiment_template.format(kind=kind, sentence=row["input"])
            == f"Instruction: {row['instruction']}\nInput: {row['input']}\nAnswer: "
        ]
        assert Counter(row["output"] for row in prompts) == dict.fromkeys(LABELS, 27)
    assert len(rows) == 6 * 27


@pytest.mark.parametrize(
    ("name", "slugs"), [("general_nlp", ["mmlu_stem"]), ("medical", ["medmcqa", "medqa"])]
)
def test_multiple_choice_training_rows_are_answered_by_a_letter_alone(name: str, slugs: list[str]) -> None:
    instructions = {protocol.CURRENT.instructions[slug] for slug in slugs}
    rows = [row for row in _training(name) if "\n\nOptions:\n" in row["input"]]
    assert {row["instruction"] for row in rows} == instructions
    assert _balanced([row["output"] for row in rows], len(LETTERS))
    for row in rows:
        options = re.fullmatch(
            r"Question: [^\n]+[?.]\n\nOptions:\nA\. (.+)\nB\. (.+)\nC\. (.+)\nD\. (.+)", row["input"]
        )
        assert options, row
        assert len({option.casefold() for option in options.groups()}) == 4
        assert row["output"] in LETTERS


def test_abstracts_of_the_medical_training_rows_are_answered_by_one_word() -> None:
    rows = [
        row for row in _training("medical") if row["instruction"] == protocol.CURRENT.instructions["pubmedqa"]
    ]
    assert Counter(row["output"] for row in rows) == {"yes": 12, "no": 12, "maybe": 12}


def test_no_training_row_gives_an_evaluation_row_away() -> None:
    evaluated = {_words(text): place for place, text in _evaluation_texts()}
    runs = {run: place for words, place in evaluated.items() for run in _runs(words)}
    for place, text in _training_texts():
        words = _words(text)
        assert words not in evaluated, place
        assert [runs[run] for run in _runs(words) if run in runs] == [], place


def test_no_two_rows_are_alike() -> None:
    places = defaultdict(set)
    for place, text in (*_evaluation_texts(), *_training_texts()):
        words = _words(text)
        for run in _runs(words) or {words}:
            places[run].add(place)
    assert [found for found in places.values() if len(found) > 1] == []


def test_nothing_is_copied_from_the_real_data(shared: Path) -> None:
    real: set[tuple[str, ...]] = set()
    for path in (shared / "data").glob("*/*.jsonl"):
        real.update(_words(_text(row)) for row in _rows(path) if _has_text(row))
    ours = dict([*_evaluation_texts(), *_training_texts()])
    assert [place for place, text in ours.items() if _words(text) in real] == []


def test_no_program_shares_eight_words_in_a_row_with_a_real_one(shared: Path) -> None:
    real: set[tuple[str, ...]] = set()
    for name in PROGRAM_FILES:
        for row in _rows(shared / "data" / "eval" / f"{name}.jsonl"):
            real |= _runs(_words(_text(row)))
    for name in PROGRAM_FILES:
        for row in _evaluation(name):
            assert _runs(_words(_text(row))) & real == set(), row


def _has_text(row: Row) -> bool:
    return any(column in row for column in ("sentence", "text", "input", "question", "CONTEXTS", "prompt"))
