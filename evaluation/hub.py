"""Fetching a base model from a model hub, pinned to a commit and without anything that can run."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import httpx
from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from evaluation.errors import HubError, ModelError

# Weights as safetensors, configs and tokenizer files; never pickles, never code.
_WANTED = ("*.safetensors", "*.json", "tokenizer*", "*.model", "vocab.txt", "merges.txt", "*.jinja")
# Nothing in subfolders. Some repositories hold their weights twice, once in their maker's own layout.
_UNWANTED = ("*/*", "consolidated*", "*.bin", "*.py", "*.pt", "*.pth", "*.pkl")
_HUB_ID = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")
_INSTEAD = "give a folder with the model's config.json, tokenizer and safetensors instead"


@dataclass(frozen=True)
class Snapshot:
    """A model on this disk: its folder, its hub id, and the commit."""

    folder: Path
    repo: str
    commit: str


def is_hub_id(name: str) -> bool:
    """Whether a name has the form owner/name or owner/name@revision."""
    return _HUB_ID.fullmatch(name) is not None


def fetch(name: str) -> Snapshot:
    """Fetch owner/name[@revision] into the hub's cache, or find it there. HF_ENDPOINT names the hub.

    A commit that was fetched before is not asked for again. Raises ModelError that says what is wrong and
    what to do; HubError where the hub is at fault.
    """
    match = _HUB_ID.fullmatch(name)
    if match is None:
        raise ModelError(f"{name!r} is neither a folder nor a hub id like owner/name@revision; {_INSTEAD}")
    repo, revision = match["repo"], match["revision"]
    try:
        if constants.HF_HUB_OFFLINE or (revision and _complete(repo, revision).exists()):
            return _cached(repo, revision)
        return _download(repo, revision)
    except GatedRepoError as error:
        raise ModelError(f"{repo} is gated: accept its terms on the hub and set HF_TOKEN") from error
    except RepositoryNotFoundError as error:
        raise ModelError(f"the hub has no public model {repo}; check the id, or {_INSTEAD}") from error
    except RevisionNotFoundError as error:
        raise ModelError(f"the model {repo} has no revision {revision!r}") from error
    except LocalEntryNotFoundError as error:
        raise HubError(f"{name} is not in the local cache and the hub is out of reach; {_INSTEAD}") from error
    except (HfHubHTTPError, httpx.HTTPError, OfflineModeIsEnabled, OSError) as error:
        raise HubError(f"the hub did not deliver {name}: {error}; try again, or {_INSTEAD}") from error


def _complete(repo: str, commit: str) -> Path:
    """The mark that a commit is in the cache with all its files: an interrupted fetch leaves none."""
    return Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}" / f".complete-{commit}"


def _cached(repo: str, revision: str | None) -> Snapshot:
    folder = Path(
        snapshot_download(
            repo,
            revision=revision,
            local_files_only=True,
            allow_patterns=list(_WANTED),
            ignore_patterns=list(_UNWANTED),
        )
    )
    return Snapshot(folder, repo, folder.name)


def _download(repo: str, revision: str | None) -> Snapshot:
    endpoint = os.environ.get("HF_ENDPOINT") or None
    info = HfApi(endpoint=endpoint).model_info(repo, revision=revision, files_metadata=True)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or () if _is_wanted(file.rfilename)}
    if not any(name.endswith(".safetensors") for name in sizes):
        raise ModelError(f"{repo} has no weights as safetensors, the only form that is loaded")
    if info.sha is None:
        raise ModelError(f"the hub names no commit for {repo}")
    cache = Path(constants.HF_HUB_CACHE)
    cache.mkdir(parents=True, exist_ok=True)
    needed, free = sum(sizes.values()), shutil.disk_usage(cache).free
    if needed > free:
        raise ModelError(f"{repo} takes {needed / 1024**3:.1f} GB and {free / 1024**3:.1f} GB are free")
    folder = Path(
        snapshot_download(
            repo,
            revision=info.sha,
            allow_patterns=list(_WANTED),
            ignore_patterns=list(_UNWANTED),
            endpoint=endpoint,
        )
    )
    for name, size in sizes.items():
        if (folder / name).stat().st_size != size:
            raise ModelError(
                f"{name} of {repo} is not the {size} bytes that the hub announced; fetch it again"
            )
    _complete(repo, info.sha).touch()
    return Snapshot(folder, repo, info.sha)


def _is_wanted(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in _WANTED) and not any(
        fnmatch(name, pattern) for pattern in _UNWANTED
    )
