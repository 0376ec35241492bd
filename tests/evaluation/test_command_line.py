"""`python -m evaluation`: its commands, its files, its messages, its exit statuses."""

from __future__ import annotations

import io
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from evaluation import benchmarks, data, rules
from evaluation.__main__ import main
from evaluation.commands import files
from evaluation.commands.progress import Bars, Lines
from evaluation.commands.status import Status
from evaluation.errors import EvaluationError, HubError
from evaluation.rules.challenges import CHALLENGES
from evaluation.rules.protocol import CURRENT
from evaluation.running.run import Evaluator, Progress
from evaluation.statistics import PackedAnswers

LABELLED = [benchmark.slug for benchmark in benchmarks.BENCHMARKS.values() if benchmark.language is None]


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVALUATION_DATA", raising=False)
    monkeypatch.setenv("COLUMNS", "80")


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


def score(path: Path, *arguments: object, slug: str = "tfns", wrong: int = 0, missing: int = 0) -> int:
    """Score the demonstration items, answered in a file."""
    file = completions(path / f"{slug}.answers", slug, wrong=wrong, missing=missing)
    command = ("score", "--benchmark", slug, "--completions", file, "--data", "demonstration")
    return run(*command, *arguments)


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def read_lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# What it shows


def test_list_shows_every_challenge_and_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list") == Status.DONE
    shown = capsys.readouterr().out
    assert run("list", "--json") == Status.DONE
    printed = json.loads(capsys.readouterr().out)
    assert max(map(len, shown.splitlines())) <= 80
    for challenge in CHALLENGES.values():
        assert challenge.slug in shown
        assert all(slug in shown for slug in rules.of(challenge.slug).benchmarks)
        told = printed["challenges"][challenge.slug]
        assert tuple(told["benchmarks"]) == rules.of(challenge.slug).benchmarks


@pytest.mark.parametrize("command", ["list", "data", "run", "score", "compare", "curve", "inspect"])
def test_every_command_has_examples_and_its_exit_statuses(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        run(command, "--help")
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    assert f"examples:\n  python -m evaluation {command}" in shown
    assert "75   an error of the machine" in shown


def test_the_version_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        run("--version")
    assert stopped.value.code == 0
    assert capsys.readouterr().out.startswith("flowertune-leaderboard ")


def test_data_says_what_there_is_and_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("data", "--challenge", "finance", "--data", "demonstration") == Status.DONE
    shown = capsys.readouterr().out
    assert all(slug in shown for slug in rules.of("finance").benchmarks)
    assert "not official" in shown
    assert run("data", "--benchmark", "fpb", "--data", tmp_path, "--json") == Status.INCOMPLETE
    (holding,) = json.loads(capsys.readouterr().out)["benchmarks"].values()
    assert (holding["items"], holding["official"]) == (None, False)
    assert "has no fpb.jsonl" in holding["reasons"][0]


def test_data_are_written_as_a_folder_that_is_read_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("data", "--benchmark", "tfns")
    assert run(*command, "--data", "demonstration", "--export", tmp_path / "folder", "--json") == Status.DONE
    exported = json.loads(capsys.readouterr().out)["benchmarks"]["tfns"]
    assert run(*command, "--data", tmp_path / "folder", "--json") == Status.DONE
    assert json.loads(capsys.readouterr().out)["benchmarks"]["tfns"]["digest"] == exported["digest"]


# Scores


@pytest.mark.parametrize("slug", LABELLED)
def test_score_writes_results_and_items(slug: str, tmp_path: Path) -> None:
    results, items = tmp_path / "results.json", tmp_path / "items.jsonl"
    arguments = ("--output", results, "--items", items)
    assert score(tmp_path, *arguments, slug=slug, wrong=3, missing=2) == Status.INCOMPLETE
    written = read(results)
    (result,) = written["benchmarks"].values()
    assert set(written) >= {"protocol", "engine", "benchmarks", "average", "provenance"}
    assert set(result) >= {"score", "stderr", "n", "unscored", "seconds", "data_digest", "official"}
    # Finance reads an answer that names no sentiment as neutral, so that some of the wrong ones are right.
    right = result["n"] - 2 - sum(item["correct"] is False for item in read_lines(items))
    assert (result["unscored"], result["correct_count"]) == (2, right)
    assert result["score"] == written["average"] == right / (result["n"] - 2)
    assert (result["official"], result["data"]) == (False, "demonstration")
    bits = PackedAnswers.from_base64(result["n"], result["correct_bits"], result["scored_bits"])
    assert (bits.right_count, bits.scored_count) == (right, result["n"] - 2)
    first, last = read_lines(items)[0], read_lines(items)[-1]
    assert set(first) >= {"benchmark", "id", "prompt", "completion", "prediction", "target", "correct"}
    assert (last["completion"], last["prediction"], last["correct"]) == (None, None, None)
    assert last["failure"]


def test_run_evaluates_a_challenge(
    tiny_llama: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    results, items = tmp_path / "results.json", tmp_path / "items.jsonl"
    command = ("run", "--model", tiny_llama, "--challenge", "medical", "--data", "demonstration")
    options = ("--precision", "fp32", "--limit", 3, "--output", results, "--items", items)
    assert run(*command, *options) == Status.DONE
    written = read(results)
    assert list(written["benchmarks"]) == list(rules.of("medical").benchmarks)
    assert written["engine"] == "transformers"
    scores = [result["score"] for result in written["benchmarks"].values()]
    assert written["average"] == pytest.approx(sum(scores) / 4)
    assert len(read_lines(items)) == 12
    shown = capfd.readouterr()
    assert "loading the base model" in shown.err
    assert "[1/4] pubmedqa: 3/3" in shown.err
    low, high = written["average_interval"]
    (average,) = [line for line in shown.out.splitlines() if line.startswith("average")]
    assert f"[{100 * low:.2f}, {100 * high:.2f}]" in average
    assert "not official: the precision is fp32; protocol 1 asks for fp4" in shown.out
    assert max(map(len, shown.out.splitlines())) <= 80


def test_the_table_shows_intervals_and_why_a_score_is_incomplete(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(tmp_path, wrong=0, missing=4) == Status.INCOMPLETE
    shown = capsys.readouterr().out
    assert "tfns                 100.00  [92.87, 100.00]      54         4  demonstration" in shown
    assert "incomplete: 4 items of tfns: the completions file has no such id" in shown


def test_results_on_stdout_are_not_mixed_with_progress(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(tmp_path, "--json") == Status.DONE
    shown = capsys.readouterr()
    assert json.loads(shown.out)["benchmarks"]["tfns"]["score"] == 1
    assert "tfns: 100.00" in shown.err
    assert score(tmp_path, "--quiet") == Status.DONE
    assert capsys.readouterr().err == ""


def test_the_data_folder_can_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = completions(tmp_path / "answers.jsonl", "tfns")
    monkeypatch.setenv("EVALUATION_DATA", str(tmp_path / "nowhere"))
    assert run("score", "--benchmark", "tfns", "--completions", file) == Status.FAILED
    monkeypatch.setenv("EVALUATION_DATA", "demonstration")
    assert run("score", "--benchmark", "tfns", "--completions", file) == Status.DONE


# Progress


def test_progress_is_told_in_lines_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    told = io.StringIO()
    lines = Lines(2, told)
    for done in (0, 1, 500, 1_200):
        lines.progress(Progress("fpb", done, 1_200, done, 2_000))
        now[0] += 2.5
    lines.progress(Progress("fpb", 1_200, 1_200, 1_200, 2_000, "judging"))
    assert told.getvalue().splitlines() == [
        "[1/2] fpb: 500/1,200, 100.0 items/s, 00:07 left",
        "[1/2] fpb: 1,200/1,200, 160.0 items/s",
        "[1/2] fpb, running programs: 1,200/1,200",
    ]


def test_a_run_that_stands_still_is_told_of_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    told = io.StringIO()
    lines = Lines(1, told)
    for _ in range(20):
        lines.progress(Progress("fpb", 3, 9, 3, 9))
        now[0] += 10
    assert told.getvalue().splitlines() == ["fpb: 3/9"] * 3


def test_a_terminal_shows_a_bar_and_none_is_left_behind() -> None:
    terminal = io.StringIO()
    bars = Bars(1, terminal)
    bars.progress(Progress("fpb", 0, 40, 0, 40))
    bars.progress(Progress("fpb", 40, 40, 40, 40))
    bars.clear()
    drawn = terminal.getvalue()
    assert "fpb   0%|" in drawn
    assert " items/s, " in drawn
    assert drawn.rpartition("left")[2].strip("\r ") == ""


# Files


def test_a_failed_run_leaves_the_results_that_were_there(tmp_path: Path, tiny_llama: Path) -> None:
    results = tmp_path / "results.json"
    results.write_text("old")
    command = ("run", "--model", tiny_llama, "--benchmark", "tfns", "--data", tmp_path / "nowhere")
    assert run(*command, "--output", results) == Status.FAILED
    assert results.read_text() == "old"


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "results.json"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), files.replacing(target) as draft:
        draft.write_text("half")
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]
    assert target.read_text() == "old"
    with files.replacing(target) as draft:
        draft.write_text("new")
        assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]
    assert target.read_text() == "new"


def test_a_full_disk_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    expected = pytest.raises(EvaluationError, match=r"out\.json cannot be written: No space left")
    with expected, files.replacing(tmp_path / "out.json"):
        raise OSError(28, "No space left on device")


def test_links_are_followed_and_pipes_stay_pipes(tmp_path: Path) -> None:
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    files.write_json(tmp_path / "link.json", {"a": 1})
    assert (tmp_path / "link.json").is_symlink()
    assert read(tmp_path / "real.json") == {"a": 1}
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", str(tmp_path / "pipe")], stdout=subprocess.PIPE) as reader:
        files.write_json(tmp_path / "pipe", {"a": 2})
        assert reader.communicate()[0] == b'{\n  "a": 2\n}\n'
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_outputs_that_would_be_lost_are_refused_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder").mkdir()
    answers = tmp_path / "tfns.answers"
    for arguments, message in (
        (("--output", tmp_path / "no" / "r.json"), "there is no folder"),
        (("--output", tmp_path / "folder"), "it is a folder"),
        (("--output", tmp_path / "x", "--items", tmp_path / "folder" / ".." / "x"), "named twice"),
        (("--items", answers), "named twice"),
    ):
        assert score(tmp_path, *arguments) == Status.FAILED
        assert message in capsys.readouterr().err
    assert read_lines(answers)


# Errors


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"id": 0}\n', "line 1: `completion` must be a text"),
        ('{"completion": "x"}\n', "line 1: `id` (or `task_id`) must be"),
        (
            '{"id": 0, "completion": "x"}\n\n{"id": "0", "completion": "y"}\n',
            "line 3: the id '0' stands twice",
        ),
        ("nope\n", "line 1: not JSON"),
        ("3\n", "line 1: not a JSON object"),
        ("[3]\n", "entry 1: neither an object"),
        ('[["x", "y"]]\n', "several completions an item are for programs"),
        (json.dumps(["x"] * 4000), "ids that tfns does not have"),
        ('{"id": 4000, "completion": "x"}\n', "1 ids that tfns does not have"),
    ],
)
def test_a_bad_completions_file_is_refused(
    content: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.jsonl").write_text(content)
    command = ("score", "--benchmark", "tfns", "--completions", tmp_path / "bad.jsonl")
    assert run(*command, "--data", "demonstration") == Status.FAILED
    assert message in capsys.readouterr().err


def test_errors_are_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("run", "--model", "nowhere", "--challenge", "cod") == Status.FAILED
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "error: no challenge is called 'cod'; did you mean code?\n")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("walk",),
        ("run", "--model", "x"),
        ("run", "--model", "x", "--benchmark", "tfns", "--challenge", "finance"),
        ("run", "--model", "x", "--benchmark", "tfns", "--limit", "0"),
        ("run", "--model", "x", "--benchmark", "tfns", "--limit", "many"),
        ("run", "--model", "x", "--bench", "tfns"),
        ("compare", "a.json", "b.json", "--resamples", "10"),
    ],
)
def test_a_wrong_command_line_ends_with_2(arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as stopped:
        run(*arguments)
    assert stopped.value.code == Status.USAGE


def test_several_samples_of_a_label_are_refused(tiny_llama: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ("run", "--model", tiny_llama, "--benchmark", "tfns", "--data", "demonstration")
    assert run(*command, "--samples", 3) == Status.FAILED
    assert "are for programs (pass@k)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("raised", "status", "message"),
    [
        (HubError("the hub is away"), Status.RETRYABLE, "error: the hub is away\n"),
        (EvaluationError("never"), Status.FAILED, "error: never\n"),
        (KeyboardInterrupt(), Status.INTERRUPTED, "interrupted\n"),
    ],
)
def test_how_a_run_ends_is_its_exit_status(
    raised: BaseException,
    status: Status,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    closed = []

    def fail(*_: object) -> None:
        raise raised

    monkeypatch.setattr(Evaluator, "evaluate", fail)
    monkeypatch.setattr(Evaluator, "close", lambda self: closed.append(self))
    assert run("run", "--model", "x", "--benchmark", "tfns") == status
    assert capsys.readouterr().err == message
    assert len(closed) == 1


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "evaluation", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_ctrl_c_ends_without_a_traceback(tmp_path: Path) -> None:
    pipe = tmp_path / "completions"
    os.mkfifo(pipe)
    command = ("score", "--benchmark", "tfns", "--completions", pipe, "--data", "demonstration")
    process = start(*command, "--output", tmp_path / "results.json")
    with process, pipe.open("w"):  # opens once the command reads, which then waits for what never comes
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=180)
    assert (process.returncode, errors) == (Status.INTERRUPTED, "interrupted\n")
    assert [path.name for path in tmp_path.iterdir()] == ["completions"]


def test_a_reader_that_has_had_enough_is_no_crash() -> None:
    with start("list") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == Status.FAILED
