"""The child process: jobs in, events out, and gone when its supervisor is."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy
import pytest

from evaluation.wire.evaluating import EVENTS, Done, Event, Job, Loading, Noted, Progress, Ready, Scored
from evaluation.wire.messages import Ending, Failed, Message, dump
from tests.evaluation.conftest import WriteRows, make_adapter

E = TypeVar("E", bound=Message)

TFNS = [{"text": f"$AB {i}%", "label": i % 3} for i in range(11)]


class Server:
    """A running server with its pipes."""

    def __init__(self) -> None:
        self.child = subprocess.Popen(
            [sys.executable, "-m", "evaluation.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=Path(__file__).resolve().parents[2],
        )

    def send(self, line: str) -> None:
        assert self.child.stdin
        self.child.stdin.write(line + "\n")
        self.child.stdin.flush()

    def event(self) -> Event:
        assert self.child.stdout
        return EVENTS.parse(self.child.stdout.readline())

    def events(self, job: Job) -> list[Event]:
        """Everything that one job leads to."""
        self.send(dump(job))
        events = [self.event()]
        while not isinstance(events[-1], Ending):
            events.append(self.event())
        return events

    def end_of_input(self) -> None:
        assert self.child.stdin
        self.child.stdin.close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    ready = server.event()
    assert ready == Ready(server.child.pid)
    yield server
    server.child.kill()
    server.child.wait()
    assert server.child.stdin and server.child.stdout
    server.child.stdin.close()
    server.child.stdout.close()


def job(model: Path, folder: Path, output: Path, **changes: Any) -> Job:
    fields: dict[str, Any] = {
        "job": "j1",
        "model": str(model),
        "adapter": None,
        "benchmarks": ("tfns",),
        "protocol": 1,
        "engine": "auto",
        "precision": "fp32",
        "data": str(folder),
        "limit": None,
        "output": str(output),
        "registered": (),
        "smoke_run": False,
    }
    return Job(**fields | changes)


def only(kind: type[E], events: list[Event]) -> E:
    (found,) = [event for event in events if isinstance(event, kind)]
    return found


def flags(bits: bytes, n: int) -> list[bool]:
    packed = numpy.frombuffer(bits, dtype=numpy.uint8)
    return [bool(bit) for bit in numpy.unpackbits(packed, count=n)]


@pytest.mark.slow("starts the real child process, which imports torch")
def test_a_job_loads_reports_scores_and_ends(
    server: Server, tiny_llama: Path, write_rows: WriteRows, tmp_path: Path
) -> None:
    folder, adapter = write_rows("tfns", TFNS), make_adapter(tiny_llama, tmp_path / "adapter")
    events = server.events(job(tiny_llama, folder, tmp_path / "out"))
    assert [type(e) for e in events if not isinstance(e, Progress)] == [Noted, Loading, Scored, Done]
    assert {e.job for e in events if not isinstance(e, Ready)} == {"j1"}
    last = [e for e in events if isinstance(e, Progress)][-1]
    assert (last.benchmark, last.done, last.total, last.eta) == ("tfns", 11, 11, 0)
    assert last.rate and last.rate > 0
    scored, done = only(Scored, events), only(Done, events)
    assert (scored.n, scored.data, scored.official) == (11, "other", False)
    items = [json.loads(line) for line in Path(scored.items).read_text(encoding="utf-8").splitlines()]
    assert flags(scored.correct_bits, 11) == [item["correct"] for item in items]
    assert flags(scored.scored_bits, 11) == [True] * 11
    assert sum(flags(scored.correct_bits, 11)) == scored.correct
    assert done.provenance["precision"] == "fp32"

    tuned = server.events(job(tiny_llama, folder, tmp_path / "out2", job="j2", adapter=str(adapter)))
    assert not any(isinstance(e, Loading) for e in tuned), "the base model is still there"
    assert isinstance(tuned[-1], Done)


def test_unscored_items_have_their_own_bits(server: Server, write_rows: WriteRows, tmp_path: Path) -> None:
    answers = tmp_path / "answers"
    answers.mkdir()
    (answers / "tfns.jsonl").write_text(
        '{"id": 1, "completion": "positive"}\n{"id": 2, "completion": "?!"}\n'
    )
    events = server.events(job(answers, write_rows("tfns", TFNS), tmp_path / "out", engine="scripted"))
    scored = only(Scored, events)
    assert flags(scored.correct_bits, 11) == [i in (1, 2) for i in range(11)]
    assert flags(scored.scored_bits, 11) == [i in (1, 2) for i in range(11)]
    assert (scored.value, scored.unscored) == (1.0, 9)


@pytest.mark.parametrize(
    "line",
    ["nope", "[1]", "{}", '{"event": "job", "version": 0}', '{"event": "job", "version": 4, "job": "j9"}'],
)
def test_a_line_that_is_no_job_is_an_error_and_the_server_lives_on(
    line: str, server: Server, tmp_path: Path
) -> None:
    server.send(line)
    error = server.event()
    assert isinstance(error, Failed)
    assert (error.job, error.code, error.fault) == (None, "wire", "crash")
    server.send("")  # an empty line is nothing
    assert isinstance(server.events(job(tmp_path, tmp_path, tmp_path / "out"))[-1], Failed)


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"model": "/nowhere"}, "model", "/nowhere"),
        ({"benchmarks": ("tnfs",)}, "unknown_name", "did you mean tfns"),
        ({"adapter": "/nowhere"}, "checkpoint", "/nowhere"),
        ({"data": "/nowhere"}, "data", "/nowhere"),
    ],
)
def test_a_job_that_cannot_run_says_why(
    changes: dict[str, Any], code: str, message: str, server: Server, write_rows: WriteRows, tmp_path: Path
) -> None:
    (tmp_path / "m").mkdir()
    asked = replace(
        job(tmp_path / "m", write_rows("tfns", TFNS), tmp_path / "out", engine="scripted"), **changes
    )
    (error,) = server.events(asked)
    assert isinstance(error, Failed)
    assert (error.job, error.code, error.fault) == ("j1", code, "input")
    assert message in error.message


def test_an_unexpected_failure_is_a_retryable_crash(
    server: Server, write_rows: WriteRows, tmp_path: Path
) -> None:
    model, output = tmp_path / "m", tmp_path / "out"
    model.mkdir()
    (model / "tfns.jsonl").write_text("")
    (output / "tfns.jsonl").mkdir(parents=True)  # in the way of the items file
    error = only(Failed, server.events(job(model, write_rows("tfns", TFNS), output, engine="scripted")))
    assert (error.code, error.fault) == ("engine_crash", "crash")
    assert "IsADirectoryError" in error.message


def test_it_exits_when_its_input_ends(server: Server) -> None:
    server.end_of_input()
    assert server.child.wait(timeout=60) == 0


@pytest.mark.slow("starts the real child process, which imports torch")
def test_it_exits_when_its_input_ends_in_the_middle_of_a_run(
    server: Server, tiny_llama: Path, write_rows: WriteRows, tmp_path: Path
) -> None:
    rows = [{"text": f"$AB {i}%", "label": 1} for i in range(3_000)]
    server.send(dump(job(tiny_llama, write_rows("tfns", rows), tmp_path / "out")))
    while not isinstance(server.event(), Progress):
        pass
    server.end_of_input()
    assert server.child.wait(timeout=60) == 0
    assert not (tmp_path / "out" / "tfns.jsonl").exists()
