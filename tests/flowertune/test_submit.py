"""`flowertune submit`: checked first, resumed after whatever breaks, and never sent twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowertune.errors import TemporaryError
from flowertune.exit_status import Status
from flowertune.kept_files import delivery
from tests.flowertune.conftest import Run
from tests.flowertune.site_server import Fault, SiteServer

STATED = "--not-trained-on-test-items"
SUBMIT = ("--challenge", "finance", "--yes", STATED, "--json")


def test_the_last_checkpoint_is_submitted(run: Run, server: SiteServer, app: Path, adapter: bytes) -> None:
    ended = run("submit", str(app), *SUBMIT)
    assert ended.status == Status.DONE and ended.err == ""
    assert (ended.document["status"], ended.document["method"]) == ("queued", "FedAvg, rank 4")
    assert [bytes(content) for _, content in server.state.uploads.values()] == [adapter]


def test_errors_are_all_shown_and_nothing_is_sent(run: Run, server: SiteServer, app: Path) -> None:
    text = (app / "pyproject.toml").read_text()
    text = text.replace("fingpt-sentiment-train", "other").replace("supernodes = 50", "supernodes = 7")
    (app / "pyproject.toml").write_text(text)
    ended = run("submit", str(app), *SUBMIT)
    assert ended.status == Status.REFUSED
    assert {method for method, _, _ in server.state.requests} == {"GET"}
    codes = {finding["code"] for finding in ended.document["error"]["findings"]}
    assert {"config.static_dataset", "config.supernodes"} <= codes
    for_people = run("submit", str(app), *SUBMIT[:-1])
    assert "config.supernodes" in for_people.err and "--draft" in for_people.err and for_people.out == ""


def test_a_base_model_over_the_sites_limit_is_refused_before_anything_is_sent(
    run: Run, server: SiteServer, app: Path
) -> None:
    server.state.parameters, server.state.max_base_parameters = 14_000_000_000, 13_000_000_000
    ended = run("submit", str(app), *SUBMIT)
    assert ended.status == Status.REFUSED and not server.state.uploads
    (finding,) = ended.document["error"]["findings"]
    assert finding["code"] == "config.base_model_size" and "13,000,000,000" in finding["message"]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/uploads/"), ("PATCH", "/uploads/"), ("POST", "/submissions/"), ("GET", "/submissions/")],
)
@pytest.mark.parametrize("status", [0, 503])
def test_one_broken_answer_does_no_harm(
    run: Run, server: SiteServer, app: Path, adapter: bytes, method: str, path: str, status: int, after: bool
) -> None:
    server.state.faults.append(Fault(method, path, status, after=after))
    ended = run("submit", str(app), *SUBMIT)
    assert ended.status == Status.DONE, ended.out
    assert len(server.state.submissions) == 1 and server.state.received == len(adapter)
    assert not ended.document["repeated"] and not server.state.faults


def test_the_wait_that_the_site_asks_for_is_kept(
    run: Run, server: SiteServer, app: Path, pauses: list[float]
) -> None:
    server.state.faults.append(Fault("PATCH", "/uploads/", 429, {"Retry-After": "17"}))
    assert run("submit", str(app), *SUBMIT).status == Status.DONE
    assert pauses == [17]


def test_a_site_that_stays_away_is_given_up_and_the_next_call_goes_on(
    run: Run, server: SiteServer, app: Path, adapter: bytes
) -> None:
    server.state.faults.append(Fault("PATCH", "/uploads/upload0", 0, after=True))
    server.state.faults.extend(Fault("HEAD", "/uploads/", 503) for _ in range(6))
    ended = run("submit", str(app), *SUBMIT)
    assert ended.status == Status.TEMPORARY and 0 < server.state.received < len(adapter)
    assert run("submit", str(app), *SUBMIT).status == Status.DONE
    assert server.state.received == len(adapter) and len(server.state.uploads) == 1


def test_a_wait_of_hours_is_not_waited_for(
    run: Run, server: SiteServer, app: Path, pauses: list[float]
) -> None:
    server.state.faults.append(Fault("POST", "/uploads/", 429, {"Retry-After": "7200"}))
    ended = run("submit", str(app), *SUBMIT)
    assert ended.status == Status.TEMPORARY and not pauses
    assert "2 hours" in ended.document["error"]["message"]


def test_an_upload_that_the_site_lost_begins_again(run: Run, server: SiteServer, app: Path) -> None:
    server.state.findings = [{"code": "x", "severity": "error", "message": "No.", "location": ""}]
    assert run("submit", str(app), *SUBMIT).status == Status.REFUSED
    gone = b'{"findings": [{"code": "upload.gone", "severity": "error", "message": "m", "location": ""}]}'
    server.state.findings = []
    server.state.faults.append(Fault("POST", "/submissions/", 422, body=gone))
    assert run("submit", str(app), *SUBMIT).status == Status.DONE
    assert len(server.state.uploads) == 2


def test_a_refused_submission_costs_no_second_upload(
    run: Run, server: SiteServer, app: Path, adapter: bytes
) -> None:
    server.state.findings = [{"code": "x", "severity": "error", "message": "No.", "location": "team"}]
    ended = run("submit", str(app), *SUBMIT)
    assert ended.status == Status.REFUSED and ended.document["error"]["findings"][0]["location"] == "team"
    server.state.findings = []
    assert run("submit", str(app), *SUBMIT).status == Status.DONE
    assert server.state.received == len(adapter)


def test_the_same_call_again_finds_the_submission(run: Run, server: SiteServer, app: Path) -> None:
    first = run("submit", str(app), *SUBMIT).document
    again = run("submit", str(app), *SUBMIT)
    assert (again.document["id"], again.document["repeated"]) == (first["id"], True)
    assert len(server.state.submissions) == 1 and len(server.state.uploads) == 1


def test_a_call_that_never_heard_the_answer_is_told_how_things_are_now(
    run: Run, server: SiteServer, app: Path
) -> None:
    server.state.faults.append(Fault("POST", "/submissions/", 400, after=True))
    assert run("submit", str(app), *SUBMIT).status == Status.REFUSED
    server.state.submissions[0]["status"] = "withdrawn"
    ended = run("submit", str(app), *SUBMIT)
    assert (ended.document["status"], len(server.state.submissions)) == ("withdrawn", 1)


def test_a_draft_goes_on_without_a_second_upload(
    run: Run, server: SiteServer, app: Path, adapter: bytes
) -> None:
    assert run("submit", str(app), *SUBMIT, "--draft").document["status"] == "received"
    assert run("submit", str(app), *SUBMIT, "--draft").document["repeated"]
    ended = run("submit", str(app), *SUBMIT)
    assert (ended.status, ended.document["status"]) == (Status.DONE, "queued")
    assert len(server.state.submissions) == 1 and server.state.received == len(adapter)


def test_a_draft_that_was_edited_elsewhere_gets_this_adapter_again(
    run: Run, server: SiteServer, app: Path
) -> None:
    run("submit", str(app), *SUBMIT, "--draft")
    server.state.submissions[0]["edited_at"] = "in the browser"
    assert run("submit", str(app), *SUBMIT).status == Status.DONE
    assert server.state.submissions[0]["adapter_upload"] == "upload1"


def test_two_calls_do_not_send_the_same_file_at_once(run: Run, tmp_path: Path) -> None:
    with (
        delivery("https://example.org", "00"),
        pytest.raises(TemporaryError),
        delivery("https://example.org", "00"),
    ):
        pass
    with delivery("https://example.org", "00") as state:
        assert state.upload is None


def test_what_is_missing_is_named_where_nobody_can_be_asked(run: Run, app: Path) -> None:
    assert "--challenge" in run("submit", str(app)).err
    assert "--method" in run("submit", str(app), "--challenge", "finance").err
    unstated = run("submit", str(app), *(option for option in SUBMIT if option != STATED))
    assert unstated.status == Status.USAGE and STATED in unstated.out
    unknown = run("submit", str(app), "--challenge", "finances")
    assert unknown.status == Status.USAGE and "finance" in unknown.err
    other = run("submit", str(app), *SUBMIT, "--base-model", "Example/Unlisted")
    assert other.status == Status.USAGE and "Example/Tiny-Llama" in other.document["error"]["message"]


@pytest.mark.parametrize("text", ["fpb", "fpb=", "fpb=101", "fpb=44.555", "mmlu=3", "fpb=1,5"])
def test_a_declared_score_is_a_percentage_of_a_benchmark(run: Run, app: Path, text: str) -> None:
    ended = run("submit", str(app), *SUBMIT, "--declared", text)
    assert ended.status == Status.USAGE and "--declared" in ended.document["error"]["message"]


def test_a_score_that_cannot_be_is_a_local_finding(run: Run, app: Path) -> None:
    ended = run("submit", str(app), *SUBMIT, "--declared", "fiqa=62.51")
    codes = [finding["code"] for finding in ended.document["local_findings"]]
    assert ended.status == Status.DONE and "declared.impossible_score" in codes


def test_a_folder_without_anything_is_refused(run: Run, tmp_path: Path) -> None:
    assert run("submit", str(tmp_path / "nowhere"), *SUBMIT).status == Status.REFUSED
