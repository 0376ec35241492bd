"""The code domain: prompts, where completions end, and what real and reference programs score."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evaluation import benchmarks, data
from evaluation.benchmarks.code import PASSED
from evaluation.benchmarks.samples import Sample
from evaluation.errors import SandboxError
from evaluation.rules.protocol import CURRENT
from evaluation.running.judging import Answer, Judgement, judge
from evaluation.running.run import Evaluator, Observer, Plan, score_completions
from tests.profiles import only_long, share

PUBLISHED = {"humaneval": 9 / 164, "mbpp": 36 / 500}
HUMANEVAL_PASSES = [8, 13, 23, 28, 29, 30, 35, 45, 53]
# Its set-up runs before the code and needs a class of the code.
IMPOSSIBLE = {"humaneval": set[str](), "mbpp": {"367"}}


def samples(slug: str, folder: Path | str) -> tuple[Sample, ...]:
    return data.load(benchmarks.get(slug), str(folder), CURRENT, None).samples


def judged(slug: str, texts: dict[str, str], asked: tuple[Sample, ...]) -> dict[str, Judgement]:
    by_key = {sample.key: sample for sample in asked}
    answers = [Answer(key, by_key[key], text) for key, text in texts.items()]
    return dict(judge(benchmarks.get(slug), answers, CURRENT, lambda _done: None))


def generations(shared: Path, slug: str) -> list[str]:
    path = shared / "oracles" / "code_generations" / f"generations_{slug}.json"
    return [attempts[0] for attempts in json.loads(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("slug", PUBLISHED)
def test_prompts_equal_those_of_the_public_code_to_the_byte(shared: Path, slug: str) -> None:
    asked = samples(slug, shared / "data" / "eval")
    for sample, generation in zip(asked, generations(shared, slug), strict=True):
        assert generation.startswith(sample.prompt), sample.key


@pytest.mark.slow("runs hundreds of programs in the sandbox")
@pytest.mark.parametrize("slug", ["humaneval", pytest.param("mbpp", marks=only_long)])
def test_the_completions_of_a_public_run_score_as_published(shared: Path, slug: str) -> None:
    asked = samples(slug, shared / "data" / "eval")
    texts = {
        sample.key: generation.removeprefix(sample.prompt)
        for sample, generation in zip(asked, generations(shared, slug), strict=True)
    }
    judgements = judged(slug, texts, asked)
    passed = [i for i, sample in enumerate(asked) if judgements[sample.key].prediction == PASSED]
    assert len(passed) / len(asked) == PUBLISHED[slug]
    if slug == "humaneval":
        assert passed == HUMANEVAL_PASSES


@pytest.mark.slow("runs hundreds of programs in the sandbox")
@pytest.mark.parametrize("slug", PUBLISHED)
def test_reference_solutions_pass(shared: Path, slug: str) -> None:
    folder = shared / "data" / "eval"
    asked = samples(slug, folder)
    rows = [json.loads(line) for line in (folder / f"{slug}.jsonl").read_text("utf-8").splitlines()]
    texts = {
        # A prompt without its last newline is what models see, so a solution begins with that newline.
        sample.key: "\n" + (row.get("canonical_solution") or row["code"])
        for sample, row in zip(asked, rows, strict=True)
    }
    tried = share(asked)
    judgements = judged_uncut(slug, {sample.key: texts[sample.key] for sample in tried}, tried)
    failed = {key: judgement for key, judgement in judgements.items() if judgement.prediction != PASSED}
    assert set(failed) == IMPOSSIBLE[slug] & judgements.keys(), failed


def judged_uncut(slug: str, texts: dict[str, str], asked: Sequence[Sample]) -> dict[str, Judgement]:
    """Reference solutions may hold what would end a model's completion, so they are not cut."""
    by_key = {sample.key: sample for sample in asked}
    answers = [Answer(key, by_key[key], text) for key, text in texts.items()]
    uncut = replace(benchmarks.get(slug), read=lambda text: text)
    return dict(judge(uncut, answers, CURRENT, lambda _done: None))


@pytest.mark.parametrize(
    ("slug", "completion", "kept"),
    [
        ("humaneval", "\n    return 1\ndef next():\n", "\n    return 1"),
        ("humaneval", "\n    return 1<file_sep>x", "\n    return 1"),
        ("humaneval", "\n    return 1\n    # not at the start of a line", None),
        ("mbpp", 'def f():\n    return 1\n"""\nNext', "def f():\n    return 1"),
        ("mbpp", "def f():\n    return 1\nassert f() == 1", "def f():\n    return 1"),
        ("multipl_e_js", "  return 1;\n}\nfunction next() {", "  return 1;\n}"),
        ("multipl_e_cpp", "    return 1;\n}\nint main() {", "    return 1;"),
    ],
)
def test_a_completion_ends_at_its_first_stop_string(slug: str, completion: str, kept: str | None) -> None:
    assert benchmarks.get(slug).read(completion) == (completion if kept is None else kept)


def test_completions_of_programs_are_scored_by_running_them(tmp_path: Path) -> None:
    path = data.DEMONSTRATION_FOLDER / "mbpp.jsonl"
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    solutions = [row["code"] for row in rows[:-1]] + ["?"]
    lines = [
        json.dumps({"id": row["task_id"], "completion": "\n" + code})
        for row, code in zip(rows, solutions, strict=True)
    ]
    completions = tmp_path / "completions.jsonl"
    completions.write_text("\n".join(lines), encoding="utf-8")
    (result,) = score_completions("mbpp", completions, data.DEMONSTRATION, CURRENT.number).scores
    wrong = [item for item in result.items if not item.correct]
    assert [item.sample.id for item in wrong] == [rows[-1]["task_id"]]
    assert wrong[0].prediction not in (None, PASSED) and wrong[0].detail
    assert result.as_dict()["metric"] == "pass@1"


def test_several_completions_of_a_problem_are_drawn_and_run(tiny_llama: Path, write_rows: Any) -> None:
    row = {"task_id": "a", "prompt": "def f():\n", "test": "def check(f):\n    f()", "entry_point": "f"}
    folder = write_rows("humaneval", [row, row | {"task_id": "b"}])
    rules = Plan(
        str(tiny_llama),
        ("humaneval",),
        precision="fp32",
        engine="transformers",
        data=str(folder),
        samples=3,
    )
    (result,) = Evaluator().evaluate(rules, Observer()).scores
    texts = [item.completion for item in result.items]
    assert (result.n, len(texts), result.unscored) == (2, 6, 0)
    assert len(set(texts)) > 1, "the draws have seeds of their own"
    assert any("were sampled" in reason for reason in result.unofficial)
    (again,) = Evaluator().evaluate(rules, Observer()).scores
    assert [item.completion for item in again.items] == texts


def test_without_isolation_nothing_is_loaded_nor_run(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing(Observer):
        def loading(self) -> None:
            raise AssertionError("the model was loaded")

    monkeypatch.setenv("PATH", str(tmp_path))
    plan = Plan(str(tiny_llama), ("mbpp",), precision="fp32", data=data.DEMONSTRATION)
    with pytest.raises(SandboxError, match="bubblewrap"):
        Evaluator().evaluate(plan, Observer())
