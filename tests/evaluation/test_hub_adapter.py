"""Fetching an adapter: its three files, at a commit, bounded, and with nobody's token but the one given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from evaluation.errors import CheckpointError, HubError
from evaluation.hub.adapter import AdapterSnapshot, fetch_adapter
from evaluation.hub.names import (
    AddressError,
    HubAddress,
    is_folder,
    is_repository,
    is_revision,
    parse_address,
)
from evaluation.hub.renaming import current_name
from tests.evaluation.hub_server import COMMIT, HubServer

REPO = "somebody/fed-adapter"
FILES = {
    "adapter_model.safetensors": b"tensors",
    "adapter_config.json": b"{}",
    "pyproject.toml": b"[tool]",
    "adapter_model.bin": b"a pickle",
    "handler.py": b"raise SystemExit",
    "README.md": b"hello",
}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with HubServer(REPO, FILES) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "into"
    folder.mkdir()
    return folder


def fetch(
    folder: Path,
    revision: str = "",
    *,
    repo: str = REPO,
    token: str | None = None,
    subfolder: str = "",
    largest: int = 1000,
) -> AdapterSnapshot:
    return fetch_adapter(repo, revision, token, subfolder, into=folder, largest=largest)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("revision", ["", "main", COMMIT, COMMIT[:7]])
def test_only_the_adapters_files_come_at_a_commit(server: HubServer, folder: Path, revision: str) -> None:
    snapshot = fetch(folder, revision)
    assert (snapshot.folder, snapshot.repo, snapshot.commit) == (folder, REPO, COMMIT)
    assert names(folder) == {"adapter_model.safetensors", "adapter_config.json", "pyproject.toml"}
    assert (folder / "adapter_model.safetensors").read_bytes() == b"tensors"
    assert not any(name in path for path in server.requests for name in (".bin", ".py", "README"))


def test_nothing_is_left_in_the_hubs_cache(server: HubServer, folder: Path, tmp_path: Path) -> None:
    fetch(folder)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_folder_of_the_repository_is_read_with_the_configuration_at_its_top(
    server: HubServer, folder: Path
) -> None:
    server.files |= {
        "peft_8/adapter_model.safetensors": b"eighth",
        "peft_8/adapter_config.json": b"{}",
    }
    fetch(folder, subfolder="peft_8")
    assert (folder / "adapter_model.safetensors").read_bytes() == b"eighth"
    assert (folder / "pyproject.toml").read_bytes() == b"[tool]"


def test_a_repository_without_configuration_is_fetched_all_the_same(server: HubServer, folder: Path) -> None:
    del server.files["pyproject.toml"]
    fetch(folder)
    assert names(folder) == {"adapter_model.safetensors", "adapter_config.json"}


def test_the_size_is_checked_before_anything_is_fetched(server: HubServer, folder: Path) -> None:
    server.announced["adapter_model.safetensors"] = 10**12
    with pytest.raises(CheckpointError, match="has 1,000,000,000,000 bytes, the limit is 1,000"):
        fetch(folder)
    server.announced = {"adapter_config.json": 2 * 1024**2}
    with pytest.raises(CheckpointError, match=r"adapter_config\.json"):
        fetch(folder)
    assert names(folder) == set() and not any("resolve" in path for path in server.requests)


def test_another_size_than_announced_is_refused(server: HubServer, folder: Path) -> None:
    server.announced["adapter_model.safetensors"] = 6
    with pytest.raises(HubError):
        fetch(folder)


def test_what_is_missing_is_named_with_what_to_do(server: HubServer, folder: Path) -> None:
    del server.files["adapter_model.safetensors"]
    with pytest.raises(CheckpointError, match="only a pickle, which is never opened"):
        fetch(folder)
    del server.files["adapter_model.bin"]
    with pytest.raises(CheckpointError, match="push the last PEFT checkpoint"):
        fetch(folder)
    server.files["run/peft_8/adapter_model.safetensors"] = b"x"
    with pytest.raises(CheckpointError, match="give the folder it is in, like run/peft_8"):
        fetch(folder)


def test_what_the_hub_does_not_show_is_named(server: HubServer, folder: Path) -> None:
    with pytest.raises(CheckpointError, match="no repository somebody/else"):
        fetch(folder, repo="somebody/else")
    with pytest.raises(CheckpointError, match="no revision v9"):
        fetch(folder, "v9")
    server.gated = True
    with pytest.raises(CheckpointError, match="is gated: give a token"):
        fetch(folder)


def test_the_operators_token_is_never_used_and_the_submitters_is(
    server: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_operator")
    fetch(folder)
    assert {headers.get("authorization") for headers in server.headers} == {None}
    server.headers.clear()
    fetch(folder, token="hf_submitter")
    assert {headers.get("authorization") for headers in server.headers} == {"Bearer hf_submitter"}


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"], ids=["another host", "another port"])
def test_a_token_is_not_sent_on_to_where_the_hub_redirects(
    server: HubServer, folder: Path, host: str
) -> None:
    with HubServer(REPO, FILES) as elsewhere:
        name = "adapter_model.safetensors"
        place = elsewhere.url.replace("127.0.0.1", host)
        server.redirects[name] = f"{place}/{REPO}/resolve/{COMMIT}/{name}"
        fetch(folder, token="hf_submitter")
        assert elsewhere.headers and all("authorization" not in h for h in elsewhere.headers)


def test_a_hub_that_is_away_may_be_asked_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, server: HubServer
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubError, match="try again later, or upload the files") as error:
        fetch(folder, token="hf_submitter")
    assert error.value.retryable and "hf_submitter" not in str(error.value)


def test_without_network_the_hub_is_not_asked(
    server: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match="does not reach the hub"):
        fetch(folder)
    assert server.requests == []


@pytest.mark.parametrize(
    ("repo", "revision", "subfolder"),
    [
        ("../etc", "", ""),
        ("a/b/c", "", ""),
        ("http://127.0.0.1/x", "", ""),
        (f"{REPO}@main", "", ""),
        (REPO, "../../x", ""),
        (REPO, "main?x=1", ""),
        (REPO, "", "../up"),
        (REPO, "", "/etc"),
        (REPO, "", "a//b"),
        (REPO, "", "a\nb"),
    ],
)
def test_names_that_lead_elsewhere_are_refused(
    server: HubServer, folder: Path, repo: str, revision: str, subfolder: str
) -> None:
    with pytest.raises(CheckpointError, match="owner/name"):
        fetch(folder, revision, repo=repo, subfolder=subfolder)
    assert server.requests == []


def test_the_hub_says_what_it_calls_a_repository_today(server: HubServer) -> None:
    assert current_name(REPO) == REPO
    server.renamed = "somebody/renamed"
    assert current_name(REPO) == "somebody/renamed"
    server.gated = True
    assert current_name(REPO) == REPO


def test_usual_names_are_names() -> None:
    assert is_repository("org.name/model-7B_v1.0") and not is_repository("model")
    assert all(map(is_revision, ("main", "refs/pr/1", "v1.0", "v1.0+cu12", "ветка", COMMIT)))
    assert not any(map(is_revision, ("", ".", "..", "a/../b", "a b", "a..b", "-" * 201)))
    folders = ("peft_200", "out/2025-01-01/peft_5", "résultats", "結果/第200輪", "run 2 (final)")
    assert all(map(is_folder, folders))
    elsewhere = ("", ".", "..", "a/../b", "a//b", "/a", "a\\b", ".git", "a\u202eb", "a/" * 9)
    assert not any(map(is_folder, elsewhere))


@pytest.mark.parametrize(
    ("pasted", "meant"),
    [
        ("owner/name", ("owner/name", "", "")),
        (" owner/name ", ("owner/name", "", "")),
        ("owner/name@v1.0", ("owner/name", "v1.0", "")),
        ("owner/name/peft_200", ("owner/name", "", "peft_200")),
        ("https://huggingface.co/owner/name", ("owner/name", "", "")),
        ("huggingface.co/owner/name/", ("owner/name", "", "")),
        ("https://hf.co/owner/name?library=peft#files", ("owner/name", "", "")),
        ("https://huggingface.co/owner/name.git", ("owner/name", "", "")),
        ("git clone https://huggingface.co/owner/name", ("owner/name", "", "")),
        ("git@hf.co:owner/name.git", ("owner/name", "", "")),
        ("hf download owner/name", ("owner/name", "", "")),
        ("hf://owner/name@main/peft_200", ("owner/name", "main", "peft_200")),
        ("https://huggingface.co/owner/name/tree/main", ("owner/name", "main", "")),
        ("https://huggingface.co/owner/name/tree/main/peft_200", ("owner/name", "main", "peft_200")),
        ("owner/name/tree/main/out/peft_200", ("owner/name", "main", "out/peft_200")),
        ("https://huggingface.co/owner/name/tree/refs%2Fpr%2F1/a", ("owner/name", "refs/pr/1", "a")),
        ("https://huggingface.co/owner/name/commit/abcdef1", ("owner/name", "abcdef1", "")),
        (
            "https://huggingface.co/owner/name/blob/main/peft_5/adapter_config.json",
            ("owner/name", "main", "peft_5"),
        ),
        (
            "https://huggingface.co/owner/name/tree/main/r%C3%A9sultats%20finaux",
            ("owner/name", "main", "résultats finaux"),
        ),
        ("https://hub.example/owner/name", ("owner/name", "", "")),  # HF_ENDPOINT's
    ],
)
def test_an_address_is_read_as_it_is_pasted(
    pasted: str, meant: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example")
    assert parse_address(pasted) == HubAddress(*meant)


@pytest.mark.parametrize(
    "pasted",
    [
        "",
        "name",
        "https://github.com/owner/name",
        "https://huggingface.co.evil.example/owner/name",
        "https://huggingface.co/datasets/owner/name",
        "https://huggingface.co/spaces/owner/name",
        "https://huggingface.co/owner",
        "file:///etc/passwd",
        "owner/name@../../x",
        "owner/name/../../x",
        "https://huggingface.co/owner/name/tree/main/%2e%2e/x",
        "https://[::1/owner/name",
    ],
)
def test_what_is_no_repository_of_the_hub_is_refused(pasted: str) -> None:
    with pytest.raises(AddressError):
        parse_address(pasted)
