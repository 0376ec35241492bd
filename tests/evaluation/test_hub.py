"""Fetching a base model: pinned, complete, and nothing that can run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from evaluation.errors import DiskError, ModelError
from evaluation.hub import fetching
from evaluation.running.run import Evaluator, Observer, Plan
from tests.evaluation.hub_server import COMMIT, HubServer

REPO = "somebody/tiny-llama"


@pytest.fixture
def server(tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    files = {path.name: path.read_bytes() for path in tiny_llama.iterdir()}
    files |= {
        "pytorch_model.bin": b"pickle",
        "modeling_mine.py": b"raise SystemExit",
        "consolidated.safetensors": b"again",
        "original/model.safetensors": b"again",
    }
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with HubServer(REPO, files) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


@pytest.mark.parametrize("name", [REPO, f"{REPO}@main", f"{REPO}@{COMMIT}"])
def test_a_model_is_fetched_at_a_commit_without_pickles_and_code(
    name: str, server: HubServer, tiny_llama: Path
) -> None:
    snapshot = fetching.fetch(name)
    assert (snapshot.repo, snapshot.commit) == (REPO, COMMIT)
    fetched = {path.name: path.read_bytes() for path in snapshot.folder.iterdir()}
    assert fetched == {path.name: path.read_bytes() for path in tiny_llama.iterdir()}
    assert not any("resolve/main" in path for path in server.requests)


def test_a_fetched_model_is_evaluated_under_its_hub_id(server: HubServer) -> None:
    plan = Plan(REPO, ("tfns",), precision="fp32", data="demonstration", limit=1)
    assert Evaluator().evaluate(plan, Observer()).provenance.model == f"{REPO}@{COMMIT}"


def test_without_network_a_fetched_model_is_found_again(
    server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = fetching.fetch(f"{REPO}@{COMMIT}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    server.requests.clear()
    assert fetching.fetch(f"{REPO}@{COMMIT}") == fetched
    assert server.requests == []
    with pytest.raises(ModelError, match="not in the local cache"):
        fetching.fetch("somebody/else")


def test_what_the_hub_does_not_have_is_named(server: HubServer) -> None:
    with pytest.raises(ModelError, match="no public model somebody/else"):
        fetching.fetch("somebody/else")
    with pytest.raises(ModelError, match="no revision 'v9'"):
        fetching.fetch(f"{REPO}@v9")
    server.gated = True
    with pytest.raises(ModelError, match="is gated"):
        fetching.fetch(REPO)


def test_a_model_without_safetensors_is_refused(server: HubServer) -> None:
    del server.files["model.safetensors"]
    with pytest.raises(ModelError, match="no weights as safetensors"):
        fetching.fetch(REPO)


def test_a_file_of_another_size_than_announced_is_refused(server: HubServer) -> None:
    server.announced["config.json"] = 7
    with pytest.raises(ModelError, match=r"config\.json .* is not the 7 bytes"):
        fetching.fetch(REPO)


def test_a_model_that_does_not_fit_the_disk_is_not_fetched(
    server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")._replace(free=3)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(DiskError, match="are free"):
        fetching.fetch(REPO)
    assert not any("resolve" in path for path in server.requests)


def test_a_hub_out_of_reach_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match=f"did not deliver the model {REPO}"):
        fetching.fetch(REPO)


def test_names_that_are_no_hub_ids() -> None:
    assert fetching.is_hub_id("a/b")
    assert fetching.is_hub_id("a/b@v1.0")
    assert not any(map(fetching.is_hub_id, ["a", "a/b/c", "/a/b", "a/b@", "a b/c"]))
    with pytest.raises(ModelError, match="neither a folder nor a hub id"):
        fetching.fetch("a/b/c")
