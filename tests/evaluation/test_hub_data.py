"""Fetching files of a data set: pinned, whole, only what is asked for, and from nowhere else."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from huggingface_hub import constants

from evaluation.errors import DataError, DiskError, HubError
from evaluation.hub import fetching
from tests.evaluation.hub_server import COMMIT, HubServer

REPO = "somebody/rows"
BRANCH = "refs/convert/parquet"
FILES = {"data/test.csv": b"text\nup\n", "rows.py": b"raise SystemExit", "rows.pkl": b"pickle"}
WANTED = ("data/test.csv",)
INSTEAD = "give --data DIR"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with HubServer(REPO, FILES, kind="dataset", branch=BRANCH) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


def fetch(revision: str = COMMIT, files: tuple[str, ...] = WANTED, *, cached_only: bool = False) -> Path:
    snapshot = fetching.fetch_files(REPO, revision, files, instead=INSTEAD, cached_only=cached_only)
    assert (snapshot.repo, snapshot.commit) == (REPO, COMMIT)
    return snapshot.folder


@pytest.mark.parametrize("revision", [COMMIT, BRANCH])
@pytest.mark.parametrize("large", [True, False])
def test_only_the_files_asked_for_are_fetched_and_at_a_commit(
    revision: str, large: bool, server: HubServer
) -> None:
    server.large = set(WANTED) if large else set()
    folder = fetch(revision)
    assert (folder / WANTED[0]).read_bytes() == FILES[WANTED[0]]
    assert [path.name for path in folder.rglob("*") if path.is_file()] == ["test.csv"]
    assert {path for path in server.requests if "resolve" in path} == {
        f"/datasets/{REPO}/resolve/{COMMIT}/data/test.csv"
    }


@pytest.mark.parametrize("revision", [COMMIT, BRANCH])
def test_what_was_fetched_is_not_asked_for_again(
    revision: str, server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fetch(revision)
    server.requests.clear()
    assert fetch(revision) == fetch(revision, cached_only=True) == folder
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert fetch(revision) == folder
    assert server.requests == []


def test_without_network_the_message_says_how_to_get_the_data(
    server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(HubError, match=r"rows is not in the local cache; .* --fetch.* or give --data DIR"):
        fetch(cached_only=True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="not in the local cache and HF_HUB_OFFLINE is set"):
        fetch()
    assert server.requests == []


def test_a_hub_out_of_reach_is_named(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubError, match=f"did not deliver the data set {REPO} .* or give --data DIR"):
        fetch()


def test_an_answer_that_is_no_json_is_the_hubs_fault(
    server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "respond", lambda _path: (200, {}, b"<html>Please log in</html>"))
    with pytest.raises(HubError, match="did not deliver"):
        fetch()


def test_what_the_hub_does_not_have_is_named(server: HubServer) -> None:
    with pytest.raises(DataError, match=rf"has no file data/x\.csv at {COMMIT}; give --data DIR"):
        fetch(files=("data/x.csv",))
    with pytest.raises(DataError, match=f"data set {REPO} has no revision"):
        fetching.fetch_files(REPO, "d" * 40, WANTED, instead=INSTEAD)
    with pytest.raises(DataError, match="no public data set somebody/else"):
        fetching.fetch_files("somebody/else", COMMIT, WANTED, instead=INSTEAD)
    server.gated = True
    with pytest.raises(DataError, match="gated"):
        fetch()


def test_another_commit_than_the_pinned_one_is_refused(server: HubServer) -> None:
    server.branch = "d" * 40
    with pytest.raises(HubError, match=f"answers with commit {COMMIT}"):
        fetching.fetch_files(REPO, "d" * 40, WANTED, instead=INSTEAD)


@pytest.mark.parametrize("large", [True, False])
@pytest.mark.parametrize("delivered", [b"text\ndown\n", b"text\nno\n", b"", b"text\nu"])
def test_damaged_files_are_refused_and_fetched_again(
    delivered: bytes, large: bool, server: HubServer
) -> None:
    server.large = set(WANTED) if large else set()
    server.delivered = {WANTED[0]: delivered}
    with pytest.raises(HubError, match=r"test\.csv .* is not what the hub announced .* give --data DIR"):
        fetch()
    with pytest.raises(HubError, match="not in the local cache"):
        fetch(cached_only=True)
    server.delivered = {}
    assert (fetch() / WANTED[0]).read_bytes() == FILES[WANTED[0]]


def test_a_connection_that_breaks_off_is_made_again(server: HubServer) -> None:
    server.cut = {"test.csv"}
    assert (fetch() / WANTED[0]).read_bytes() == FILES[WANTED[0]]
    assert server.cut == set()


def test_an_interrupted_fetch_leaves_nothing_that_passes_for_whole(server: HubServer) -> None:
    server.files["more.csv"] = b"text\n"
    server.announced["more.csv"] = 99
    with pytest.raises(HubError):
        fetch(BRANCH, (*WANTED, "more.csv"))
    with pytest.raises(HubError, match="not in the local cache"):
        fetch(BRANCH, (*WANTED, "more.csv"), cached_only=True)
    server.announced.clear()
    server.requests.clear()
    assert (fetch(BRANCH, (*WANTED, "more.csv")) / "more.csv").read_bytes() == b"text\n"


def test_sizes_are_checked_before_anything_is_fetched(server: HubServer) -> None:
    server.announced[WANTED[0]] = 300 * 1024**2
    with pytest.raises(DataError, match="more than any benchmark has"):
        fetch()
    assert not any("resolve" in path for path in server.requests)


def test_a_full_disk_is_named(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=3)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(DiskError, match=r"GB and 0\.0 GB are free"):
        fetch()


def test_files_may_come_from_where_the_hub_redirects_to(server: HubServer) -> None:
    with HubServer(REPO, FILES, kind="dataset") as store:
        path = f"/datasets/{REPO}/resolve/{COMMIT}/{WANTED[0]}"
        server.redirects[WANTED[0]] = store.url + path
        assert (fetch() / WANTED[0]).read_bytes() == FILES[WANTED[0]]
        assert path in store.requests


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/x",
        "https://10.0.0.8/x",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/x",
        "https://[::ffff:192.168.0.1]/x",
        "https://100.64.0.1/x",
        "http://9.9.9.9/x",
        "http://8.8.8.8/x",
    ],
)
def test_a_public_hub_leads_neither_into_a_private_network_nor_to_plain_text(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://8.8.8.8")
    with pytest.raises(HubError, match=r"the hub redirects to .* nothing was fetched"):
        fetching.check_address(httpx.Request("GET", url))


def test_a_public_hub_may_lead_to_another_public_address_and_a_private_one_anywhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://8.8.8.8")
    fetching.check_address(httpx.Request("GET", "https://8.8.8.8/x"))
    fetching.check_address(httpx.Request("GET", "https://9.9.9.9/x"))
    monkeypatch.setenv("HF_ENDPOINT", "http://10.0.0.8:8080")
    fetching.check_address(httpx.Request("GET", "http://10.0.0.9/x"))
