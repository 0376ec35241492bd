"""The programs of the demonstration data: they can be written, and their tests notice what is not done."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evaluation import data
from evaluation.benchmarks import get
from evaluation.benchmarks.code import PASSED
from evaluation.benchmarks.samples import Sample
from evaluation.rules.protocol import CURRENT
from evaluation.running.judging import Answer, judge

Row = dict[str, Any]
SOLUTIONS = {
    "mbpp": "code",
    "humaneval": "canonical_solution",
    "multipl_e_js": "solution",
    "multipl_e_cpp": "solution",
}
"""The column of a right answer, by benchmark."""
EMPTY = {"mbpp": "\n    return None", "humaneval": "\n    return None", "multipl_e_js": "\n  return null;\n}"}
"""Bodies that answer nothing. Not in C++, where it takes half a minute to compile them all."""
STOP = {"multipl_e_js": ["\nfunction ", "\n/*", "\n//", "\nconsole.log"], "multipl_e_cpp": ["\n}"]}


def _rows(slug: str) -> list[Row]:
    lines = (data.DEMONSTRATION_FOLDER / f"{slug}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def _samples(slug: str) -> tuple[Sample, ...]:
    return data.load(get(slug), data.DEMONSTRATION, CURRENT, None).samples


def _function(row: Row) -> str:
    """The name of the function that a row asks for."""
    named = re.search(r"^def (\w+)\(", row["code"]) if "code" in row else None
    named = named or re.search(r"(?:let|auto) candidate = (\w+);", row.get("tests", ""))
    return named[1] if named else str(row["entry_point"])


def _examples(prompt: str) -> list[tuple[str, str]]:
    """The calls that a prompt shows, with what each gives."""
    return re.findall(r"^(?://)? *>>> (.+)\n(?://)? *(.+)$", prompt, re.MULTILINE)


def _with_examples(slug: str, sample: Sample) -> Sample:
    """The sample with the examples of its prompt as further tests; MBPP's is one of the tests already."""
    form = {
        "mbpp": "",
        "humaneval": "\nassert {} == {}",
        "multipl_e_js": "\nassert.deepStrictEqual({}, {});",
        "multipl_e_cpp": "    assert({} == {});\n",
    }[slug]
    asserts = "".join(form.format(call, value) for call, value in _examples(sample.prompt))
    if slug == "multipl_e_cpp":
        return replace(sample, tests=sample.tests.removesuffix("}\n") + asserts + "}\n")
    return replace(sample, tests=sample.tests + asserts)


def _fared(slug: str, answers: Iterable[tuple[Sample, str]]) -> dict[str, str]:
    """How the programs of these answers fared, by sample."""
    asked = [Answer(sample.key, sample, text) for sample, text in answers]
    judgements = judge(get(slug), asked, CURRENT, lambda _done: None)
    return {
        key: f"{judgement.prediction} {judgement.detail}".strip() for key, judgement in judgements.items()
    }


@pytest.mark.slow("compiles and runs every program")
@pytest.mark.parametrize("slug", SOLUTIONS)
def test_reference_solutions_pass_their_tests_and_do_what_the_examples_show(slug: str) -> None:
    samples = [_with_examples(slug, sample) for sample in _samples(slug)]
    solutions = ["\n" + row[SOLUTIONS[slug]] for row in _rows(slug)]
    fared = _fared(slug, zip(samples, solutions, strict=True))
    assert fared == dict.fromkeys((sample.key for sample in samples), PASSED)


@pytest.mark.parametrize("slug", EMPTY)
def test_an_answer_that_does_nothing_passes_no_tests(slug: str) -> None:
    heads = [f"def {_function(row)}(*_):" if slug == "mbpp" else "" for row in _rows(slug)]
    fared = _fared(
        slug, ((sample, head + EMPTY[slug]) for sample, head in zip(_samples(slug), heads, strict=True))
    )
    assert len(fared) == len(heads)
    assert [key for key, outcome in fared.items() if outcome == PASSED] == []


@pytest.mark.parametrize("slug", SOLUTIONS)
def test_reference_solutions_hold_no_string_that_ends_an_answer(slug: str) -> None:
    for row in _rows(slug):
        # C++ solutions lack the brace that ends the function: the tests begin with it.
        solution = "\n" + row[SOLUTIONS[slug]].rstrip("\n")
        assert get(slug).read(solution) == solution, row


def test_ids_are_each_of_one_row_and_read_as_demonstration() -> None:
    # A row that the untuned model answers shortly comes first.
    assert sorted(row["task_id"] for row in _rows("mbpp")) == [*range(1, 25)]
    assert [row["task_id"] for row in _rows("humaneval")] == [f"Demo/{i}" for i in range(20)]
    for slug in STOP:
        rows = _rows(slug)
        assert [row["name"] for row in rows] == [f"Demo_{i}_{_function(row)}" for i, row in enumerate(rows)]


def test_every_program_is_another_function_with_three_tests_or_more() -> None:
    rows = [row for slug in SOLUTIONS for row in _rows(slug)]
    assert len({_function(row) for row in rows}) == len(rows)
    for row in rows:
        tests = "\n".join(row["test_list"]) if "test_list" in row else row.get("test") or row["tests"]
        assert len(re.findall(r"^ *assert\b", tests, re.MULTILINE)) >= 3, row
        assert "test_list" in row or _examples(row["prompt"]), row


def test_some_programs_of_mbpp_need_their_set_up() -> None:
    assert {row["test_setup_code"] for row in _rows("mbpp")} == {"", "import math"}


@pytest.mark.parametrize("slug", STOP)
def test_stop_strings_are_those_that_the_benchmark_cuts_at(slug: str) -> None:
    assert all(row["stop_tokens"] == STOP[slug] for row in _rows(slug))
    assert all(get(slug).read(f"kept{stop}lost") == "kept" for stop in STOP[slug])


def test_stop_strings_are_those_of_the_real_rows(shared: Path) -> None:
    for slug, stop in STOP.items():
        with (shared / "data" / "eval" / f"{slug}.jsonl").open(encoding="utf-8") as lines:
            assert json.loads(next(lines))["stop_tokens"] == stop
