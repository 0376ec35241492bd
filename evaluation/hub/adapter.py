"""Fetching an adapter from the hub: three files of one commit, into a folder of the caller's.

HF_ENDPOINT names the hub. Nothing is kept in the hub's cache, and HF_TOKEN is not used: it is the operator's,
and what only the operator may read must not come out as somebody else's submission.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from huggingface_hub import HfApi, ModelInfo, hf_hub_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from evaluation.checkpoints import ADAPTER_CONFIG_FILE, ADAPTER_FILE
from evaluation.errors import CheckpointError, DiskError, HubError, outage_of
from evaluation.flowerconfig import CONFIG_FILE
from evaluation.hub import fetching
from evaluation.hub.names import SHORT_COMMIT, is_folder, is_repository, is_revision

SMALL_FILE_BYTES = 1024**2

_COMMIT = re.compile(r"[0-9a-f]{40}")
_TIMEOUT_SECONDS = 60.0
_INSTEAD = "or upload the files"


@dataclass(frozen=True)
class AdapterSnapshot:
    """The files of an adapter at a commit of a repository; those that it has lie in `folder`."""

    folder: Path
    repo: str
    commit: str


def fetch_adapter(
    repo: str,
    revision: str,
    token: str | None = None,
    subfolder: str = "",
    *,
    into: Path,
    largest: int,
    fetched: fetching.Fetched = fetching.nobody,
) -> AdapterSnapshot:
    """Fetch adapter_model.safetensors, adapter_config.json and, where there is one, pyproject.toml.

    `revision` is a branch, tag or commit, "" for the default branch; `token` is used for this alone. The
    adapter has at most `largest` bytes, by the hub's listing, before anything is fetched. The files lie in
    `into` itself afterwards; `fetched` is told of each file alone. Raises CheckpointError that says what to
    do, HubError where the hub is at fault, DiskError where there is no room.
    """
    named = (not revision or is_revision(revision)) and (not subfolder or is_folder(subfolder))
    if not is_repository(repo) or not named:
        raise CheckpointError("name the repository as owner/name, and revision and folder as on the hub")
    fetching.guard_requests()
    with _told(repo, revision):
        info = _info(HfApi(endpoint=fetching.endpoint(), token=token or False), repo, revision)
        if info.sha is None or not _COMMIT.fullmatch(info.sha):
            raise HubError(f"the hub names no commit for {repo}")
        sizes = {file.rfilename: file.size for file in info.siblings or ()}
        for path in _chosen(repo, sizes, subfolder, largest):
            file = Path(
                hf_hub_download(
                    repo,
                    path,
                    revision=info.sha,
                    local_dir=into,
                    token=token or False,
                    endpoint=fetching.endpoint(),
                    tqdm_class=fetching.telling(fetched, 0, sizes[path] or 0),
                )
            )
            if file.stat().st_size != sizes[path]:
                raise HubError(f"{path} of {repo} is not the {sizes[path]} bytes that the hub announced")
            file.replace(into / Path(path).name)
    return AdapterSnapshot(into, repo, info.sha)


@dataclass(frozen=True)
class AdapterSettings:
    """What a repository says of its adapter before the tensors are fetched, at a commit."""

    commit: str
    adapter_config: bytes
    has_app_configuration: bool


def fetch_settings(repo: str, subfolder: str = "", *, into: Path) -> AdapterSettings:
    """The adapter_config.json of a public repository's default branch. Raises as `fetch_adapter` does."""
    if not is_repository(repo) or (subfolder and not is_folder(subfolder)):
        raise CheckpointError("name the repository as owner/name, and the folder as on the hub")
    fetching.guard_requests()
    with _told(repo, ""):
        info = _info(HfApi(endpoint=fetching.endpoint(), token=False), repo, "")
        if info.sha is None or not _COMMIT.fullmatch(info.sha):
            raise HubError(f"the hub names no commit for {repo}")
        sizes = {file.rfilename: file.size for file in info.siblings or ()}
        chosen = _chosen(repo, sizes, subfolder, sys.maxsize)
        path = next(path for path in chosen if Path(path).name == ADAPTER_CONFIG_FILE)
        file = hf_hub_download(
            repo, path, revision=info.sha, local_dir=into, token=False, endpoint=fetching.endpoint()
        )
    has_configuration = any(Path(path).name == CONFIG_FILE for path in chosen)
    return AdapterSettings(info.sha, Path(file).read_bytes(), has_configuration)


def _info(hub: HfApi, repo: str, revision: str) -> ModelInfo:
    """What the hub knows of a revision. Of a commit it takes the whole name alone, so a short one is looked
    up.
    """

    def asked(name: str) -> ModelInfo:
        return hub.model_info(repo, revision=name or None, files_metadata=True, timeout=_TIMEOUT_SECONDS)

    try:
        return asked(revision)
    except RevisionNotFoundError:
        if not SHORT_COMMIT.fullmatch(revision):
            raise
        commits = {commit.commit_id for commit in hub.list_repo_commits(repo)}
        meant = [commit for commit in commits if commit.startswith(revision)]
        if len(meant) != 1:
            raise
        return asked(meant[0])


def _chosen(repo: str, sizes: Mapping[str, int | None], subfolder: str, largest: int) -> list[str]:
    """The paths to fetch; the app's configuration may stand at the top of the repository."""
    start = f"{subfolder}/" if subfolder else ""
    limits = {start + ADAPTER_FILE: largest, start + ADAPTER_CONFIG_FILE: SMALL_FILE_BYTES}
    for path in limits:
        if path not in sizes:
            raise CheckpointError(f"{repo} has no {path}{_elsewhere(sizes, start)}")
    config = next((path for path in (start + CONFIG_FILE, CONFIG_FILE) if path in sizes), None)
    if config:
        limits[config] = SMALL_FILE_BYTES
    for path, limit in limits.items():
        size = sizes[path]
        if size is None:
            raise HubError(f"the hub does not say how large {path} of {repo} is")
        if size > limit:
            raise CheckpointError(f"{path} of {repo} has {size:,} bytes, the limit is {limit:,}")
    return list(limits)


def _elsewhere(sizes: Mapping[str, int | None], start: str) -> str:
    """Where the adapter is instead, if it can be told."""
    if start + "adapter_model.bin" in sizes:
        return ", only a pickle, which is never opened; save it with save_pretrained and push it again"
    if f"{start}{ADAPTER_FILE}.index.json" in sizes:
        return "; it is split into several files: join them into one with safetensors, and push that"
    folders = [path.rpartition("/")[0] for path in sizes if path.endswith(f"/{ADAPTER_FILE}")]
    if folders:
        shown = ", ".join(sorted(folder for folder in folders if is_folder(folder))[-3:])
        return f"; give the folder it is in, like {shown}" if shown else ""
    return f"; push the last PEFT checkpoint, {_INSTEAD}"


@contextmanager
def _told(repo: str, revision: str) -> Iterator[None]:
    """What the hub's library raises, in words for the submitter; its own may hold addresses."""
    try:
        yield
    except GatedRepoError as error:
        raise CheckpointError(
            f"{repo} is gated: give a token of an account that has access, {_INSTEAD}"
        ) from error
    except RepositoryNotFoundError as error:
        raise CheckpointError(
            f"the hub shows no repository {repo}: check the name, and give a token if it is private"
        ) from error
    except RevisionNotFoundError as error:
        raise CheckpointError(
            f"{repo} has no revision {revision}: check it, or leave it empty for the default branch"
        ) from error
    except OfflineModeIsEnabled as error:
        raise CheckpointError(
            f"this site does not reach the hub (HF_HUB_OFFLINE is set); {_INSTEAD[3:]}"
        ) from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "no"
        if fetching.is_refusal(error):
            refused = "check the token" if status in (401, 403) else "check the name"
            raise CheckpointError(f"the hub answered {status} for {repo}; {refused}, {_INSTEAD}") from error
        raise HubError(f"the hub answered {status} for {repo}; try again, {_INSTEAD}") from error
    # ValueError: an answer that is no JSON, as a captive portal gives.
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        if isinstance(outage_of(error), DiskError):
            raise DiskError(f"the disk does not take the files of {repo}") from error
        raise HubError(f"the hub did not deliver {repo}; try again later, {_INSTEAD}") from error
