"""`status`, `watch`, `results`, `withdraw`: progress without haste, and exit statuses that tell the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowertune.exit_status import Status
from tests.flowertune.conftest import Run
from tests.flowertune.site_server import SiteServer, evaluation, score, submission

PROGRESS = {
    "phase": "evaluating",
    "benchmark": "fpb",
    "done": 120,
    "total": 1212,
    "rate": 8.0,
    "seconds_left": 136.5,
    "benchmarks_done": 0,
    "benchmarks_total": 3,
    "queue_position": None,
}


@pytest.fixture(autouse=True)
def made(server: SiteServer) -> None:
    server.state.submissions.append(submission(1))


def test_watching_shows_progress_and_ends_with_the_evaluation(
    run: Run, server: SiteServer, pauses: list[float]
) -> None:
    running = evaluation("running", progress=PROGRESS)
    done = evaluation("succeeded", scores=[score("fpb", 0.5), score("fiqa", 0.7)])
    server.state.statuses.extend(
        [
            {},
            {},
            {},
            {"status": "evaluating", "evaluations": [running]},
            {"status": "in_review", "evaluations": [done]},
        ]
    )
    ended = run("watch", "1")
    assert ended.status == Status.DONE and "average" in ended.out and "60.00" in ended.out
    assert "fpb 120 of 1,212, 2:16 left" in ended.err and ended.err.count("queued") == 1
    assert pauses == [2.0, 3.0, 4.5, 2.0]


@pytest.mark.parametrize(
    ("becomes", "status"),
    [
        ("in_review", Status.DONE),
        ("published", Status.DONE),
        ("failed", Status.EVALUATION_FAILED),
        ("invalid", Status.EVALUATION_FAILED),
        ("rejected", Status.REFUSED),
        ("withdrawn", Status.REFUSED),
    ],
)
def test_the_exit_status_says_how_it_ended(
    run: Run, server: SiteServer, becomes: str, status: Status
) -> None:
    server.state.statuses.append({"status": becomes})
    ended = run("watch", "1", "--json")
    assert ended.status == status and ended.document["status"] == becomes and ended.err == ""


def test_a_draft_is_not_watched_for_ever(run: Run, server: SiteServer) -> None:
    server.state.statuses.append({"status": "received"})
    ended = run("watch", "1")
    assert ended.status == Status.REFUSED and "draft" in ended.err


def test_watching_stops_when_its_time_is_over(run: Run) -> None:
    assert run("watch", "1", "--timeout", "1").status == Status.TEMPORARY


def test_results_before_the_end_are_no_results(run: Run) -> None:
    ended = run("results", "1")
    assert ended.status == Status.TEMPORARY and "flowertune watch 1" in ended.err


def test_the_single_answers_are_written_whole(run: Run, server: SiteServer, tmp_path: Path) -> None:
    scores = [score("fpb", 0.5, "https://inside.example.org/api/v1/items/fpb/"), score("fiqa", 0.7)]
    run_ = evaluation("succeeded", scores=scores)
    server.state.statuses.append({"status": "in_review", "evaluations": [run_]})
    folder = tmp_path / "answers"
    ended = run("results", "1", "--items", str(folder), "--json")
    assert ended.status == Status.DONE and ended.document["average"] == pytest.approx(0.6)
    assert [path.name for path in folder.iterdir()] == ["evaluation-1-fpb.jsonl"]
    assert (folder / "evaluation-1-fpb.jsonl").read_text() == '{"id": 1}\n'


def test_a_benchmark_that_would_leave_the_folder_is_refused(
    run: Run, server: SiteServer, tmp_path: Path
) -> None:
    scores = [score("../../evil", 0.5, "/api/v1/items/fpb/")]
    server.state.statuses.append(
        {"status": "in_review", "evaluations": [evaluation("succeeded", scores=scores)]}
    )
    ended = run("results", "1", "--items", str(tmp_path / "answers"), "--json")
    assert ended.status == Status.REFUSED and ended.document["error"]["code"] == "unexpected_answer"


def test_withdrawing_asks_first(run: Run) -> None:
    assert "--yes" in run("withdraw", "1").err


def test_names_cannot_steer_the_terminal(run: Run, server: SiteServer) -> None:
    server.state.submissions[0]["method"] = "\x1b[2Jcleared"
    ended = run("status")
    assert ended.status == Status.DONE and "\x1b" not in ended.out and "cleared" in ended.out
