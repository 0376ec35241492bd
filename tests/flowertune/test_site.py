"""Addresses, tokens and answers: the token goes where it belongs, and every refusal says what to do."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from flowertune.errors import UsageError
from flowertune.exit_status import Status
from flowertune.site import MOST_BYTES, checked_token, normal_url
from tests.flowertune.conftest import Run
from tests.flowertune.site_server import TOKEN, Fault, SiteServer


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("https://Board.Example.org/", "https://board.example.org"),
        ("https://example.org:443/board/", "https://example.org/board"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_one_site_has_one_address(given: str, normal: str) -> None:
    assert normal_url(given) == normal


@pytest.mark.parametrize(
    "given", ["example.org", "ftp://example.org", "https://", "https://me:secret@example.org", "https://[x"]
)
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(UsageError):
        normal_url(given)


@pytest.mark.parametrize("text", ["", "two words", "line\nbreak", "ünicode"])
def test_a_broken_token_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(UsageError) as refusal:
        checked_token(text)
    assert not text or text not in str(refusal.value)


def test_a_redirect_is_not_followed(run: Run, server: SiteServer) -> None:
    server.state.faults.append(Fault("GET", "/submissions/", 301, {"Location": "https://evil.example.org/"}))
    ended = run("status")
    assert ended.status == Status.USAGE and "evil.example.org" in ended.err
    assert len(server.state.requests) == 1


def test_an_answer_that_unpacks_without_end_or_nests_too_deep_is_none_of_this_api(
    run: Run, server: SiteServer
) -> None:
    packed = gzip.compress(bytes(MOST_BYTES + 1))
    server.state.faults.append(Fault("GET", "/submissions/", 200, {"Content-Encoding": "gzip"}, packed))
    assert run("status", "--json").document["error"]["code"] == "unexpected_answer"
    server.state.faults.append(Fault("GET", "/submissions/", 200, body=b"[" * 100_000))
    assert run("status", "--json").document["error"]["code"] == "unexpected_answer"


def test_a_packed_answer_is_unpacked_once(run: Run, server: SiteServer) -> None:
    packed = gzip.compress(b'{"results": [], "next": null}')
    server.state.faults.append(Fault("GET", "/submissions/", 200, {"Content-Encoding": "gzip"}, packed))
    assert run("status", "--json").document["results"] == []


def test_an_unknown_token_says_what_to_do(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWERTUNE_TOKEN", "flt_other")
    ended = run("status")
    assert ended.status == Status.REFUSED and "new token" in ended.err and "flt_other" not in ended.err


def test_what_is_no_such_site_is_said(run: Run, server: SiteServer) -> None:
    server.state.faults.append(Fault("GET", "/submissions/", 200, body=b"<html>Welcome</html>"))
    assert run("status", "--json").document["error"]["code"] == "unexpected_answer"


def test_a_site_that_is_away_is_temporary(
    run: Run, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    monkeypatch.setenv("FLOWERTUNE_URL", "http://127.0.0.1:9")
    assert run("status").status == Status.TEMPORARY
    assert len(pauses) == 5 and sum(pauses) > 20


def test_a_token_is_kept_for_its_site_and_user_alone(
    run: Run, server: SiteServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FLOWERTUNE_TOKEN")
    monkeypatch.delenv("FLOWERTUNE_URL")
    assert run("login", "--url", server.url, "--token", TOKEN).status == Status.DONE
    folder = tmp_path / "config" / "flowertune"
    assert (folder / "credentials.json").stat().st_mode & 0o777 == 0o600
    assert run("status").status == Status.DONE
    elsewhere = run("status", "--url", "https://elsewhere.example.org")
    assert elsewhere.status == Status.REFUSED and "not logged in" in elsewhere.err
    assert run("logout").status == Status.DONE and run("status").status == Status.USAGE
    assert TOKEN not in (folder / "credentials.json").read_text()


def test_a_wrong_token_is_not_kept(run: Run, tmp_path: Path) -> None:
    assert run("login", "--token", "flt_wrong").status == Status.REFUSED
    assert not (tmp_path / "config" / "flowertune" / "credentials.json").exists()


def test_a_damaged_file_is_named(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLOWERTUNE_TOKEN")
    folder = tmp_path / "config" / "flowertune"
    folder.mkdir(parents=True)
    (folder / "credentials.json").write_text("[")
    ended = run("status")
    assert ended.status == Status.REFUSED and "credentials.json" in ended.err


def test_without_a_command_there_is_help(run: Run) -> None:
    with pytest.raises(SystemExit) as usage:
        run()
    assert usage.value.code == Status.USAGE
