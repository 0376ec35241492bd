"""Models in the hub's cache on this disk: in use, used last when, and removed where they take too much."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CachedRepoInfo, CacheNotFound, constants, scan_cache_dir

_REMOVED = ".removed-"


@dataclass(frozen=True)
class Model:
    """A model in the cache, the bytes that it takes, and when it was last used (seconds since 1970)."""

    repo: str
    size: int
    used: float


def models() -> list[Model]:
    """All models in the cache."""
    return [Model(model.repo_id, model.size_on_disk, _used(model)) for model in _models()]


def is_writable() -> bool:
    """Whether models can come into the cache and go; one that can only be read is somebody else's care."""
    folder = Path(constants.HF_HUB_CACHE)
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return os.access(there, os.W_OK)


@contextmanager
def in_use(repo: str) -> Iterator[None]:
    """Within this block no process removes the model owner/name, also while it is fetched."""
    mark = _opened(_mark_path(repo))
    try:
        fcntl.flock(mark, fcntl.LOCK_SH)
        os.utime(mark)
        yield
        os.utime(mark)
    finally:
        os.close(mark)


def holds(repo: str) -> bool:
    """Whether the cache has something of the model."""
    return any(model.repo_id == repo for model in _models())


def remove(repo: str) -> Model | None:
    """Remove one model, whenever it was used last; None where it is not there, or in use."""
    _clear_leftovers()
    found = next((model for model in _models() if model.repo_id == repo), None)
    if found is None:
        return None
    removed = Model(found.repo_id, found.size_on_disk, _used(found))
    return removed if _remove(found) else None


def remove_unused(budget: int) -> list[Model]:
    """Remove whole models until all take at most so many bytes, the one used longest ago first.

    Those in use are left, also where they take more; so are data sets. What was never marked as used counts
    as used when its files were last read.
    """
    _clear_leftovers()
    models = _models()
    left = sum(model.size_on_disk for model in models)
    removed = []
    for model in sorted(models, key=_used):
        if left <= budget:
            break
        used = _used(model)
        if _remove(model):
            left -= model.size_on_disk
            removed.append(Model(model.repo_id, model.size_on_disk, used))
    return removed


def _models() -> list[CachedRepoInfo]:
    try:
        found = scan_cache_dir(constants.HF_HUB_CACHE)
    except CacheNotFound:
        return []
    return [repo for repo in found.repos if repo.repo_type == "model"]


def _used(model: CachedRepoInfo) -> float:
    mark = _mark_path(model.repo_id)
    return mark.stat().st_mtime if mark.exists() else model.last_accessed


def _remove(model: CachedRepoInfo) -> bool:
    """Whether it is gone: it stays while a process uses it."""
    try:
        with _alone(_mark_path(model.repo_id)):
            if model.repo_path.exists():  # else another process was faster
                # Out of sight first, so that half a model never passes for a whole one.
                gone = model.repo_path.with_name(f"{_REMOVED}{model.repo_path.name}")
                model.repo_path.rename(gone)
                shutil.rmtree(gone)
    except BlockingIOError:
        return False
    return True


def _clear_leftovers() -> None:
    """Remove the rest of models that a process was removing when it was killed."""
    for rest in Path(constants.HF_HUB_CACHE).glob(f"{_REMOVED}models--*"):
        with suppress(BlockingIOError), _alone(_marks() / rest.name.removeprefix(f"{_REMOVED}models--")):
            shutil.rmtree(rest, ignore_errors=True)  # gone where its process was just about done


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Within this block nobody uses or removes the model with this mark. Raises BlockingIOError."""
    mark = _opened(path)
    try:
        fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(mark)


def _opened(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _mark_path(repo: str) -> Path:
    return _marks() / repo.replace("/", "--")


def _marks() -> Path:
    """Beside the models, so that a mark outlives its model and is one file for all who lock it."""
    return Path(constants.HF_HUB_CACHE) / ".uses"
