"""Fetching base models and benchmark data from a hub, pinned to a commit and without anything that can run.

HF_ENDPOINT names the hub, HF_TOKEN may identify the caller, HF_HUB_CACHE holds what was fetched, and with
HF_HUB_OFFLINE only that is used. Files may come from where the hub redirects to, as large ones do, but never
from an address in a private network unless the hub itself has one.
"""

from __future__ import annotations

import functools
import hashlib
import ipaddress
import os
import re
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal

import httpx
from huggingface_hub import (
    HfApi,
    constants,
    get_session,
    hf_hub_download,
    set_client_factory,
    snapshot_download,
)
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import DatasetInfo, RepoSibling
from tqdm import tqdm

from evaluation.errors import DataError, DiskError, HubError, ModelError, outage_of

# Weights as safetensors, configs and tokenizer files; never pickles, never code.
_WANTED = ("*.safetensors", "*.json", "tokenizer*", "*.model", "vocab.txt", "merges.txt", "*.jinja")
# Nothing in subfolders. Some repositories hold their weights twice, once in their maker's own layout.
_UNWANTED = ("*/*", "consolidated*", "*.bin", "*.py", "*.pt", "*.pth", "*.pkl")
_HUB_ID = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_INSTEAD = "give a folder with the model's config.json, tokenizer and safetensors instead"
_LARGEST_DATA = 256 * 1024**2
"""Bytes: no data set here comes near this, so a hub that announces more has another under the name."""
_TIMEOUT_SECONDS = 60.0
# Answers that ask for patience: too slow, too early, too many requests.
_COME_BACK = (408, 425, 429)
# ValueError: an answer that is no JSON, as a captive portal gives.
_UNDELIVERED = (
    HfHubHTTPError,
    httpx.HTTPError,
    httpx.InvalidURL,
    OfflineModeIsEnabled,
    OSError,
    ValueError,
)


@dataclass(frozen=True)
class Snapshot:
    """A model or data set on this disk: its folder, its hub id, and the commit."""

    folder: Path
    repo: str
    commit: str


@dataclass(frozen=True)
class Listing:
    """The files of a data set at a commit, by name, with their bytes as the hub announces them."""

    repo: str
    commit: str
    files: Mapping[str, int]


Fetched = Callable[[int, int], None]
"""Told how many of how many bytes are there; called often. What it raises ends the fetch."""


def nobody(_done: int, _total: int) -> None:
    return


@dataclass(frozen=True)
class _Repository:
    """What is asked for, and what its user can do without the hub."""

    kind: Literal["model", "dataset"]
    name: str
    revision: str | None
    instead: str

    @property
    def title(self) -> str:
        return f"model {self.name}" if self.kind == "model" else f"data set {self.name}"

    def error(self, text: str) -> ModelError | DataError:
        """The error of asking again being no use."""
        return ModelError(text) if self.kind == "model" else DataError(text)

    @property
    def cache(self) -> Path:
        return Path(constants.HF_HUB_CACHE) / f"{self.kind}s--{self.name.replace('/', '--')}"


def is_hub_id(name: str) -> bool:
    """Whether a name has the form owner/name or owner/name@revision."""
    return _HUB_ID.fullmatch(name) is not None


def fetch(name: str, fetched: Fetched | None = None) -> Snapshot:
    """Fetch the model owner/name[@revision] into the hub's cache, or find it there.

    A commit that was fetched before is not asked for again. `fetched` is called from several threads; what it
    raises ends the fetch. Raises ModelError that says what is wrong and what to do; HubError where the hub is
    at fault, DiskError where there is no room.
    """
    match = _HUB_ID.fullmatch(name)
    if match is None:
        raise ModelError(f"{name!r} is neither a folder nor a hub id like owner/name@revision; {_INSTEAD}")
    model = _Repository("model", match["repo"], match["revision"], _INSTEAD)
    with _told(model):
        if constants.HF_HUB_OFFLINE or (model.revision and _complete(model, model.revision).exists()):
            return _cached_model(model)
        return _download_model(model, fetched or nobody)


def is_commit(revision: str) -> bool:
    """Whether a revision names a commit, which never changes, and not a branch or tag."""
    return _COMMIT.fullmatch(revision) is not None


def list_files(name: str, revision: str, *, instead: str) -> Listing:
    """The files of the data set owner/name at a commit or branch, as the hub has them at this moment.

    Raises DataError, or HubError where the hub is at fault or out of reach; `instead` ends every message.
    """
    dataset = _Repository("dataset", name, revision, instead)
    with _told(dataset):
        commit, info = _information(dataset, revision)
    return Listing(name, commit, {file.rfilename: file.size or 0 for file in info.siblings or ()})


def fetch_files(
    name: str,
    revision: str,
    files: Sequence[str],
    *,
    instead: str,
    cached_only: bool = False,
    fetched: Fetched | None = None,
) -> Snapshot:
    """Fetch files of the data set owner/name at a commit or branch into the hub's cache, or find them there.

    What was fetched before is not asked for again, a branch included: to renew it, delete it from the cache.
    Sizes and, where the hub knows them, digests of the files are checked. `instead` ends every message: what
    to do without the hub. Raises DataError, or HubError where the hub is at fault or out of reach.
    """
    dataset = _Repository("dataset", name, revision, instead)
    held = _held(dataset, revision, files)
    if held is not None:
        return held
    if cached_only or constants.HF_HUB_OFFLINE:
        offline = " and HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else ""
        raise HubError(
            f"the {dataset.title} is not in the local cache{offline}; `python -m evaluation data --fetch` "
            f"fetches it where there is a network; or {instead}"
        )
    with _told(dataset):
        return _download_files(dataset, revision, files, fetched or nobody)


@contextmanager
def _told(repository: _Repository) -> Iterator[None]:
    """Turn what the hub's library raises into what it means to the user."""
    title, revision, instead = repository.title, repository.revision, repository.instead
    at = title if revision is None else f"{title} at {revision}"
    try:
        yield
    except GatedRepoError as error:
        raise repository.error(
            f"the {title} is gated: accept its terms on the hub and set HF_TOKEN"
        ) from error
    except RepositoryNotFoundError as error:
        raise repository.error(f"the hub has no public {title}; check the id, or {instead}") from error
    except RevisionNotFoundError as error:
        raise repository.error(f"the {title} has no revision {revision!r}; {instead}") from error
    except LocalEntryNotFoundError as error:
        raise HubError(
            f"the {at} is not in the local cache and the hub is out of reach; {instead}"
        ) from error
    except _UNDELIVERED as e:
        if isinstance(outage_of(e), DiskError):
            _forget_partial(repository)
            raise DiskError(f"the disk does not take the {at}: {e}") from e
        if is_refusal(e):
            raise repository.error(f"the hub refuses the {at}: {e}; {instead}") from e
        what = str(e).partition("\n")[0]  # httpx adds where to read about status codes
        raise HubError(f"the hub did not deliver the {at}: {what}; try again, or {instead}") from e


def is_refusal(error: Exception) -> bool:
    """Whether the hub answered, and will answer the same when asked again."""
    answer = error.response if isinstance(error, HfHubHTTPError) else None
    return answer is not None and 400 <= answer.status_code < 500 and answer.status_code not in _COME_BACK


def _forget_partial(repository: _Repository) -> None:
    """Delete what a full disk left of a fetch: beginnings of files, and empty names of branches."""
    for beginning in repository.cache.glob("blobs/*.incomplete"):
        beginning.unlink(missing_ok=True)
    for reference in repository.cache.glob("refs/**/*"):
        if reference.is_file() and not reference.stat().st_size:
            reference.unlink(missing_ok=True)


def _complete(model: _Repository, commit: str) -> Path:
    """The mark that a commit is in the cache with all its files: an interrupted fetch leaves none."""
    return model.cache / f".complete-{commit}"


def _cached_model(model: _Repository) -> Snapshot:
    folder = Path(
        snapshot_download(
            model.name,
            revision=model.revision,
            local_files_only=True,
            allow_patterns=list(_WANTED),
            ignore_patterns=list(_UNWANTED),
        )
    )
    return Snapshot(folder, model.name, folder.name)


def _download_model(model: _Repository, fetched: Fetched) -> Snapshot:
    guard_requests()
    info = HfApi(endpoint=endpoint()).model_info(model.name, revision=model.revision, files_metadata=True)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or () if _is_wanted(file.rfilename)}
    if not any(name.endswith(".safetensors") for name in sizes):
        raise ModelError(f"{model.name} has no weights as safetensors, the only form that is loaded")
    if info.sha is None:
        raise HubError(f"the hub names no commit for the {model.title}")
    _check_space(model, sum(sizes.values()))
    folder = Path(
        snapshot_download(
            model.name,
            revision=info.sha,
            allow_patterns=list(_WANTED),
            ignore_patterns=list(_UNWANTED),
            endpoint=endpoint(),
            tqdm_class=telling(fetched, 0, sum(sizes.values())),
        )
    )
    for name, size in sizes.items():
        if (folder / name).stat().st_size != size:
            raise ModelError(
                f"{name} of {model.name} is not the {size} bytes that the hub announced; fetch it again"
            )
    _complete(model, info.sha).touch()
    return Snapshot(folder, model.name, info.sha)


def _is_wanted(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in _WANTED) and not any(
        fnmatch(name, pattern) for pattern in _UNWANTED
    )


def _held(dataset: _Repository, revision: str, files: Sequence[str]) -> Snapshot | None:
    """The files if the cache has them all. They get their names there only once they are whole."""
    commit = revision
    if not is_commit(revision):
        reference = _reference(dataset, revision)
        if not reference.is_file():
            return None
        commit = reference.read_text(encoding="utf-8").strip()
    folder = dataset.cache / "snapshots" / commit
    if not is_commit(commit) or not all((folder / name).is_file() for name in files):
        return None
    return Snapshot(folder, dataset.name, commit)


def _reference(dataset: _Repository, branch: str) -> Path:
    """Where the cache notes the commit of a branch, as the hub's library does."""
    return dataset.cache / "refs" / branch


def _information(dataset: _Repository, revision: str) -> tuple[str, DatasetInfo]:
    """The commit that a revision names now, and what the hub says of it."""
    guard_requests()
    info = HfApi(endpoint=endpoint()).dataset_info(
        dataset.name, revision=revision, files_metadata=True, timeout=_TIMEOUT_SECONDS
    )
    if info.sha is None or not is_commit(info.sha) or (is_commit(revision) and info.sha != revision):
        raise HubError(f"the hub answers with commit {info.sha} for the {dataset.title} at {revision}")
    return info.sha, info


def _download_files(dataset: _Repository, revision: str, files: Sequence[str], fetched: Fetched) -> Snapshot:
    commit, info = _information(dataset, revision)
    announced = {file.rfilename: file for file in info.siblings or ()}
    for name in files:
        if name not in announced:
            raise DataError(f"the {dataset.title} has no file {name} at {commit}; {dataset.instead}")
    needed = sum(announced[name].size or 0 for name in files)
    if needed > _LARGEST_DATA:
        raise DataError(f"the {dataset.title} takes {needed:,} bytes, more than any benchmark has")
    _check_space(dataset, needed)
    folder = dataset.cache / "snapshots" / commit
    before = 0
    for name in files:
        hf_hub_download(
            dataset.name,
            name,
            repo_type="dataset",
            revision=commit,
            endpoint=endpoint(),
            tqdm_class=telling(fetched, before, needed),
        )
        before += announced[name].size or 0
        _check_file(dataset, folder / name, announced[name])
    if revision != commit:
        reference = _reference(dataset, revision)
        reference.parent.mkdir(parents=True, exist_ok=True)
        draft = reference.with_name(f"{reference.name}.{os.getpid()}.partial")
        try:
            draft.write_text(commit, encoding="utf-8")
            draft.replace(reference)
        finally:
            draft.unlink(missing_ok=True)
    return Snapshot(folder, dataset.name, commit)


def telling(fetched: Fetched, before: int, total: int) -> type[tqdm[Any]]:
    """A progress bar that shows nothing and tells of one file after `before` bytes of others."""

    class Telling(tqdm):  # type: ignore[misc] # untyped upstream
        def __init__(self, *arguments: Any, **options: Any) -> None:
            self._there = before + options.get("initial", 0)
            super().__init__(*arguments, **options | {"disable": True})
            fetched(self._there, total)

        def update(self, n: float | None = 1) -> bool | None:
            self._there += int(n or 0)
            fetched(min(self._there, total), total)
            return None

    return Telling


def _check_space(repository: _Repository, needed: int) -> None:
    cache = Path(constants.HF_HUB_CACHE)
    cache.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(cache).free
    if needed > free:
        raise DiskError(
            f"the {repository.title} takes {needed / 1024**3:.1f} GB and {free / 1024**3:.1f} GB are free"
        )


def _check_file(dataset: _Repository, path: Path, announced: RepoSibling) -> None:
    """Remove a file that is not what the hub announced, so that the next fetch asks for it again."""
    content = path.read_bytes()
    # Git's own name of a small file; the hub stores large ones under their SHA-256.
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    if (
        len(content) == announced.size
        and (announced.lfs is None or announced.lfs.sha256 == hashlib.sha256(content).hexdigest())
        and (announced.lfs is not None or announced.blob_id in (None, blob))
    ):
        return
    path.resolve().unlink()
    path.unlink(missing_ok=True)
    raise HubError(
        f"{announced.rfilename} of the {dataset.title} is not what the hub announced "
        f"({len(content):,} bytes came of {announced.size}); try again, or {dataset.instead}"
    )


def endpoint() -> str | None:
    """The hub, where it is not the public one."""
    return os.environ.get("HF_ENDPOINT") or None


@functools.cache
def guard_requests() -> None:
    """From now on the hub's library makes its requests through a client that checks where they go."""
    # Its other protocol speaks to hosts of its own choice, past this client.
    constants.HF_HUB_DISABLE_XET = True
    constants.DOWNLOAD_CHUNK_SIZE = 1024**2  # so that who is told of what comes can soon end it
    hooks = get_session().event_hooks["request"]
    set_client_factory(
        lambda: httpx.Client(
            event_hooks={"request": [*hooks, check_address, keep_token]},
            follow_redirects=True,
            timeout=_TIMEOUT_SECONDS,
        )
    )


def check_address(request: httpx.Request) -> None:
    """Refuse with HubError a request, redirects included, that a hub should not lead to.

    That is an unencrypted one where the hub's are encrypted, and one into a private network in which the hub
    is not itself. A name is looked up here and once more to connect: the hub's operator is trusted not to
    change it in between.
    """
    hub = httpx.URL(endpoint() or constants.ENDPOINT)
    if hub.scheme == "https" and request.url.scheme != "https":
        raise HubError(f"the hub redirects to {request.url.host} without encryption; nothing was fetched")
    if request.url.host != hub.host and _is_private(request.url.host) and not _is_private(hub.host):
        raise HubError(
            f"the hub redirects to {request.url.host}, an address in a private network; nothing was fetched"
        )


def keep_token(request: httpx.Request) -> None:
    """Take the caller's token off a request to anything but the hub: another port is another server."""
    hub = httpx.URL(endpoint() or constants.ENDPOINT)
    if _origin(request.url) != _origin(hub):
        request.headers.pop("authorization", None)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port  # None is the scheme's own port, also where it is written out


def _is_private(host: str) -> bool:
    """Whether a name or address leads into a private network. Unknown names lead nowhere, or to a proxy."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    addresses = {ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found}
    mapped = {getattr(address, "ipv4_mapped", None) or address for address in addresses}
    return not all(address.is_global for address in mapped)
