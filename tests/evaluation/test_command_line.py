"""`python -m evaluation`: its commands, its files, its messages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evaluation import benchmarks, data
from evaluation.__main__ import main
from evaluation.challenges import CHALLENGES
from evaluation.protocol import CURRENT


@pytest.fixture(autouse=True)
def no_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVALUATION_DATA", raising=False)


def completions(path: Path, slug: str, *, wrong: int = 0, missing: int = 0) -> Path:
    """A file that answers the demonstration items rightly, but for some at its start and end."""
    samples = data.load(benchmarks.get(slug), "demonstration", CURRENT, None).samples
    lines = [
        {"id": sample.id, "completion": "none of these" if i < wrong else sample.target.title()}
        for i, sample in enumerate(samples[: len(samples) - missing])
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def read_lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_list_shows_every_challenge_and_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list") == 0
    shown = capsys.readouterr().out
    for challenge in CHALLENGES.values():
        assert challenge.slug in shown
        assert all(slug in shown for slug in challenge.benchmarks)
    assert "cannot be evaluated by this version" in shown


@pytest.mark.parametrize("slug", list(benchmarks.BENCHMARKS))
def test_score_writes_results_and_items(slug: str, tmp_path: Path) -> None:
    file = completions(tmp_path / "answers.jsonl", slug, wrong=3, missing=2)
    results, items = tmp_path / "results.json", tmp_path / "items.jsonl"
    command = ("score", "--benchmark", slug, "--completions", file, "--data", "demonstration")
    assert run(*command, "--output", results, "--items", items) == 0
    written = read(results)
    (result,) = written["benchmarks"].values()
    assert set(written) >= {"protocol", "engine", "benchmarks", "average", "provenance"}
    assert set(result) >= {"score", "stderr", "n", "unscored", "seconds", "data_digest", "official"}
    # Finance reads an answer that names no sentiment as neutral, so that some of the wrong ones are right.
    right = result["n"] - 2 - sum(item["correct"] is False for item in read_lines(items))
    assert (result["unscored"], result["correct_count"]) == (2, right)
    assert result["score"] == written["average"] == right / (result["n"] - 2)
    assert (result["official"], result["data"]) == (False, "demonstration")
    first, last = read_lines(items)[0], read_lines(items)[-1]
    assert set(first) == {"benchmark", "id", "prompt", "completion", "prediction", "target", "correct"}
    assert (last["completion"], last["prediction"], last["correct"]) == (None, None, None)
    assert last["failure"]


def test_run_evaluates_a_challenge(
    tiny_llama: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    results, items = tmp_path / "results.json", tmp_path / "items.jsonl"
    command = ("run", "--model", tiny_llama, "--challenge", "medical", "--data", "demonstration")
    options = ("--precision", "fp32", "--limit", 3, "--output", results, "--items", items)
    assert run(*command, *options) == 0
    written = read(results)
    assert list(written["benchmarks"]) == list(CHALLENGES["medical"].benchmarks)
    assert written["engine"] == "transformers"
    scores = [result["score"] for result in written["benchmarks"].values()]
    assert written["average"] == pytest.approx(sum(scores) / 4)
    assert len(read_lines(items)) == 12
    shown = capfd.readouterr()
    assert "pubmedqa: 3/3" in shown.err
    assert "not official: the precision is fp32; protocol 1 asks for nf4" in shown.out


def test_the_data_folder_can_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = completions(tmp_path / "answers.jsonl", "tfns")
    assert run("score", "--benchmark", "tfns", "--completions", file) == 1
    monkeypatch.setenv("EVALUATION_DATA", "demonstration")
    assert run("score", "--benchmark", "tfns", "--completions", file) == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"id": 0}\n', "line 1: `completion` must be a text"),
        ('{"completion": "x"}\n', "line 1: `id` must be"),
        (
            '{"id": 0, "completion": "x"}\n\n{"id": "0", "completion": "y"}\n',
            "line 3: the id '0' stands twice",
        ),
        ("nope\n", "line 1: not JSON"),
        ("[]\n", "line 1: not a JSON object"),
        ('{"id": 4000, "completion": "x"}\n', "1 ids that tfns does not have"),
    ],
)
def test_a_bad_completions_file_is_refused(
    content: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.jsonl").write_text(content)
    command = ("score", "--benchmark", "tfns", "--completions", tmp_path / "bad.jsonl")
    assert run(*command, "--data", "demonstration") == 1
    assert message in capsys.readouterr().err


def test_errors_are_one_line_on_stderr(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run("run", "--model", "nowhere", "--challenge", "code") == 1
    assert capsys.readouterr().err.startswith("error: this version cannot evaluate the benchmarks of code")
    assert (
        run("run", "--model", "nowhere", "--benchmark", "tfns", "--output", tmp_path / "no" / "r.json") == 1
    )
    assert "there is no folder" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        run("run", "--model", "nowhere", "--benchmark", "tfns", "--limit", "0")
    assert stopped.value.code == 2
