"""Models in the hub's cache: the one used longest ago goes first, one in use never."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants

from evaluation.hub import cache
from tests.evaluation.hub_server import COMMIT

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three models of 1,000 bytes, `a/old` used first and `a/new` last, and a data set."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for age, name in enumerate(("new", "middle", "old")):
        held(tmp_path, f"models--a--{name}")
        with cache.in_use(f"a/{name}"):
            pass
        mark = tmp_path / ".uses" / f"a--{name}"
        os.utime(mark, (mark.stat().st_mtime - 1_000 * age,) * 2)
    held(tmp_path, "datasets--a--rows")
    return tmp_path


def held(folder: Path, name: str) -> None:
    """A repository as the hub's library keeps it."""
    blob = folder / name / "blobs" / "0"
    link = folder / name / "snapshots" / COMMIT / "model.safetensors"
    for path in (blob, link):
        path.parent.mkdir(parents=True)
    blob.write_bytes(b"0" * 1_000)
    link.symlink_to(os.path.relpath(blob, link.parent))
    (folder / name / f".complete-{COMMIT}").touch()


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name.startswith(("models", "datasets"))}


def test_what_was_used_longest_ago_is_removed_until_the_rest_fits(hub_cache: Path) -> None:
    assert [(one.repo, one.size) for one in cache.remove_unused(2_000)] == [("a/old", 1_000)]
    assert left(hub_cache) == {"models--a--middle", "models--a--new", "datasets--a--rows"}
    assert cache.remove_unused(2_000) == []
    assert [one.repo for one in cache.remove_unused(-1)] == ["a/middle", "a/new"]
    assert left(hub_cache) == {"datasets--a--rows"}
    assert not cache.holds("a/new")


def test_using_a_model_makes_it_the_last_to_go(hub_cache: Path) -> None:
    with cache.in_use("a/old"):
        pass
    assert [one.repo for one in cache.remove_unused(2_000)] == ["a/middle"]


def test_a_model_in_use_stays_and_the_next_one_goes(hub_cache: Path) -> None:
    os.utime(hub_cache / ".uses" / "a--old", (0, 0))
    program = (
        "import sys; from huggingface_hub import constants; constants.HF_HUB_CACHE = sys.argv[1]\n"
        "from evaluation.hub import cache\n"
        "import os\n"
        "with cache.in_use('a/old'):\n"
        "    os.utime(sys.argv[1] + '/.uses/a--old', (0, 0)); print('in use', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(hub_cache)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    ) as user:
        assert user.stdout and user.stdin and user.stdout.readline() == b"in use\n"
        assert [one.repo for one in cache.remove_unused(2_000)] == ["a/middle"]
        user.kill()
        user.wait()
        assert [one.repo for one in cache.remove_unused(1_000)] == ["a/old"]


def test_without_a_cache_there_is_nothing_to_remove(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "none"))
    assert cache.remove_unused(0) == []


def test_what_another_process_removed_meanwhile_counts_as_gone(
    hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = cache._models()
    monkeypatch.setattr(cache, "_models", lambda: models)
    shutil.rmtree(hub_cache / "models--a--old")
    assert [one.repo for one in cache.remove_unused(2_000)] == ["a/old"]
    assert left(hub_cache) == {"models--a--middle", "models--a--new", "datasets--a--rows"}


def test_what_a_killed_process_left_half_removed_goes_with_the_next_removal(hub_cache: Path) -> None:
    (hub_cache / "models--a--old").rename(hub_cache / ".removed-models--a--old")
    assert cache.remove_unused(2_000) == []
    assert not (hub_cache / ".removed-models--a--old").exists()
