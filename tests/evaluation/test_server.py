"""The child process: jobs in, events out, and gone when its supervisor is."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest

from tests.evaluation.conftest import WriteRows, make_adapter

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

    def event(self) -> dict[str, Any]:
        assert self.child.stdout
        event: dict[str, Any] = json.loads(self.child.stdout.readline())
        return event

    def events(self, job: dict[str, Any]) -> list[dict[str, Any]]:
        """Everything that one job leads to."""
        self.send(json.dumps(job))
        events = [self.event()]
        while events[-1]["event"] not in ("done", "error"):
            events.append(self.event())
        return events

    def end_of_input(self) -> None:
        assert self.child.stdin
        self.child.stdin.close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    ready = server.event()
    assert ready == {"event": "ready", "pid": server.child.pid}
    yield server
    server.child.kill()
    server.child.wait()
    assert server.child.stdin and server.child.stdout
    server.child.stdin.close()
    server.child.stdout.close()


def job(model: Path, folder: Path, output: Path, **changes: object) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "job": "j1",
        "model": str(model),
        "adapter": None,
        "benchmarks": ["tfns"],
        "protocol": 1,
        "engine": "auto",
        "precision": "fp32",
        "data": str(folder),
        "limit": None,
        "output": str(output),
    }
    return fields | changes


def flags(bits: str, n: int) -> list[bool]:
    packed = numpy.frombuffer(base64.b64decode(bits), dtype=numpy.uint8)
    return [bool(bit) for bit in numpy.unpackbits(packed, count=n)]


def test_a_job_loads_reports_scores_and_ends(
    server: Server, tiny_llama: Path, write_rows: WriteRows, tmp_path: Path
) -> None:
    folder, adapter = write_rows("tfns", TFNS), make_adapter(tiny_llama, tmp_path / "adapter")
    events = server.events(job(tiny_llama, folder, tmp_path / "out"))
    assert [e["event"] for e in events if e["event"] != "progress"] == ["loading", "score", "done"]
    assert {e["job"] for e in events} == {"j1"}
    last = [e for e in events if e["event"] == "progress"][-1]
    assert (last["benchmark"], last["done"], last["total"], last["eta"]) == ("tfns", 11, 11, 0)
    assert last["rate"] > 0
    score, done = events[-2:]
    assert score["n"] == 11
    assert {"stderr", "seconds", "tokens", "data", "data_digest", "official", "official_reasons"} <= set(
        score
    )
    items = [json.loads(line) for line in Path(score["items"]).read_text(encoding="utf-8").splitlines()]
    assert flags(score["correct_bits"], 11) == [item["correct"] for item in items]
    assert flags(score["scored_bits"], 11) == [True] * 11
    assert sum(flags(score["correct_bits"], 11)) == score["correct_count"]
    assert done["provenance"]["precision"] == "fp32"

    tuned = server.events(job(tiny_llama, folder, tmp_path / "out2", job="j2", adapter=str(adapter)))
    assert "loading" not in {e["event"] for e in tuned}, "the base model is still there"
    assert tuned[-1]["event"] == "done"


def test_unscored_items_have_their_own_bits(server: Server, write_rows: WriteRows, tmp_path: Path) -> None:
    answers = tmp_path / "answers"
    answers.mkdir()
    (answers / "tfns.jsonl").write_text(
        '{"id": 1, "completion": "positive"}\n{"id": 2, "completion": "?!"}\n'
    )
    events = server.events(job(answers, write_rows("tfns", TFNS), tmp_path / "out", engine="scripted"))
    score = next(e for e in events if e["event"] == "score")
    assert flags(score["correct_bits"], 11) == [i in (1, 2) for i in range(11)]
    assert flags(score["scored_bits"], 11) == [i in (1, 2) for i in range(11)]
    assert (score["score"], score["unscored"]) == (1.0, 9)


@pytest.mark.parametrize(
    ("line", "named"),
    [("nope", None), ("[1]", None), ("{}", None), ('{"job": "j9"}', "j9"), ('{"job": 9}', None)],
)
def test_a_line_that_is_no_job_is_an_error_and_the_server_lives_on(
    line: str, named: str | None, server: Server, tmp_path: Path
) -> None:
    server.send(line)
    error = server.event()
    assert (error["event"], error["job"], error["code"]) == ("error", named, "bad_job")
    assert error["retryable"] is False
    server.send("")  # an empty line is nothing
    events = server.events(job(tmp_path, tmp_path, tmp_path / "out"))
    assert events[-1]["event"] == "error"


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"model": "/nowhere"}, "model", "/nowhere"),
        ({"benchmarks": ["tnfs"]}, "unknown_name", "did you mean tfns"),
        ({"benchmarks": []}, "bad_job", "`benchmarks`"),
        ({"limit": True}, "bad_job", "`limit` must be of type int, not bool"),
        ({"adapter": "/nowhere"}, "checkpoint", "/nowhere"),
        ({"data": "/nowhere"}, "data", "/nowhere"),
    ],
)
def test_a_job_that_cannot_run_says_why(
    changes: dict[str, object], code: str, message: str, server: Server, write_rows: WriteRows, tmp_path: Path
) -> None:
    (tmp_path / "m").mkdir()
    fields = job(tmp_path / "m", write_rows("tfns", TFNS), tmp_path / "out", engine="scripted") | changes
    (error,) = server.events(fields)
    assert (error["event"], error["job"], error["code"], error["retryable"]) == ("error", "j1", code, False)
    assert message in error["message"]


def test_an_unexpected_failure_is_a_retryable_crash(
    server: Server, write_rows: WriteRows, tmp_path: Path
) -> None:
    model, output = tmp_path / "m", tmp_path / "out"
    model.mkdir()
    (model / "tfns.jsonl").write_text("")
    (output / "tfns.jsonl").mkdir(parents=True)  # in the way of the items file
    (*_, error) = server.events(job(model, write_rows("tfns", TFNS), output, engine="scripted"))
    assert (error["code"], error["retryable"]) == ("engine_crash", True)
    assert "IsADirectoryError" in error["message"]


def test_it_exits_when_its_input_ends(server: Server) -> None:
    server.end_of_input()
    assert server.child.wait(timeout=20) == 0


def test_it_exits_when_its_input_ends_in_the_middle_of_a_run(
    server: Server, tiny_llama: Path, write_rows: WriteRows, tmp_path: Path
) -> None:
    rows = [{"text": f"$AB {i}%", "label": 1} for i in range(3_000)]
    server.send(json.dumps(job(tiny_llama, write_rows("tfns", rows), tmp_path / "out")))
    while server.event()["event"] != "progress":
        pass
    started = time.monotonic()
    server.end_of_input()
    assert server.child.wait(timeout=20) == 0
    assert time.monotonic() - started < 5
    assert not (tmp_path / "out" / "tfns.jsonl").exists()
