"""Addresses on the hub as people paste them: repositories, revisions and folders. Light to import."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

MAX_PATH = 200
MAX_ADDRESS = 1000
"""Characters of what may be pasted: percent signs make three of one."""

_REPOSITORY = re.compile(r"[\w-][\w.-]{0,95}/[\w-][\w.-]{0,95}", re.ASCII)
_REVISION = re.compile(r"[\w-][\w.+-]*(/[\w-][\w.+-]*){0,7}")
_NO_FOLDER = re.compile(r'[\\:*?"<>|]|^[.~ ]|[. ]$')
MOST_FOLDERS = 8
SHORT_COMMIT = re.compile(r"[0-9a-f]{7,39}")
_HOSTS = frozenset({"huggingface.co", "www.huggingface.co", "hf.co", "hf-mirror.com"})
_COPIED = re.compile(r"^(?:git clone|(?:hf|huggingface-cli) download|git@(?:hf\.co|huggingface\.co):)\s*")
_KINDS = frozenset({"datasets", "spaces", "collections", "api", "models", "docs", "papers"})
# What the site's pages put between a repository and a revision.
_VIEWS = frozenset({"tree", "blob", "resolve", "raw", "commit", "commits"})


class AddressError(ValueError):
    """What was written names no repository of models; the text says why, to whoever wrote it."""


@dataclass(frozen=True)
class HubAddress:
    """A repository, and a revision and a folder in it where they are named."""

    repository: str
    revision: str = ""
    subfolder: str = ""


def is_repository(name: str) -> bool:
    """Whether a text has the form owner/name."""
    return _REPOSITORY.fullmatch(name) is not None


def is_revision(name: str) -> bool:
    """Whether a text may name a revision: a branch, a tag, a commit, refs/pr/1."""
    return len(name) <= MAX_PATH and _REVISION.fullmatch(name) is not None and ".." not in name


def is_folder(path: str) -> bool:
    """Whether a text may name a folder of a repository, in whatever script."""
    parts = path.split("/")
    return (
        0 < len(path) <= MAX_PATH
        and path.isprintable()
        and len(parts) <= MOST_FOLDERS
        and all(part and not _NO_FOLDER.search(part) for part in parts)
    )


def parse_address(text: str) -> HubAddress:
    """What somebody pasted: owner/name, owner/name@revision, owner/name/folder, or the address of a page.

    Only pages of the public hub, its mirror and the hub that HF_ENDPOINT names are taken. Raises
    AddressError.
    """
    said = _COPIED.sub("", text.strip()).strip("<>\"' ")
    name, is_page = _without_host(said)
    parts = [part for part in name.split("/") if part]
    if parts and parts[0] in _KINDS and (len(parts) > 2 or is_page):
        if parts[0] != "models":
            raise AddressError(
                f"This is an address of {parts[0]}, and the adapter is in a repository of models."
            )
        parts = parts[1:]
    if len(parts) < 2:
        raise AddressError("Name the repository as on the hub: organisation/name.")
    owner, repo, *rest = parts
    repo, _, revision = repo.partition("@")
    if not revision and rest and rest[0] in _VIEWS:
        revision, rest = rest[1] if len(rest) > 1 else "", _folders(rest)
        if revision == "refs" and len(rest) > 1:
            revision, rest = "/".join(["refs", *rest[:2]]), rest[2:]
    repo = repo.removesuffix(".git") if is_page or said != text.strip() else repo
    address = HubAddress(f"{owner}/{repo}", unquote(revision), unquote("/".join(rest)))
    _check(address)
    return address


def _without_host(said: str) -> tuple[str, bool]:
    """What follows the host of a page's address, and whether there was one."""
    first = said.partition("/")[0].lower()
    if first in _hosts():
        said = f"https://{said}"
    if said.startswith("hf://"):
        return said.removeprefix("hf://"), True
    if "://" not in said:
        return said, False
    try:
        page = urlsplit(said)
    except ValueError as error:
        raise AddressError("This is no address. Name the repository: organisation/name.") from error
    if page.scheme not in ("http", "https") or page.netloc.lower() not in _hosts():
        raise AddressError("Only repositories of the hub can be fetched. Name one: organisation/name.")
    return page.path, True


def _hosts() -> frozenset[str]:
    endpoint = os.environ.get("HF_ENDPOINT", "")
    return _HOSTS | ({urlsplit(endpoint).netloc.lower()} if endpoint else frozenset())


def _folders(view: list[str]) -> list[str]:
    """The folders in a page's address; a file's page stands for the folder that it is in."""
    folders = view[2:]
    is_file = view[0] in ("blob", "resolve", "raw") or (
        folders and folders[-1].endswith((".safetensors", ".json"))
    )
    return folders[:-1] if is_file else folders


def _check(address: HubAddress) -> None:
    if not is_repository(address.repository):
        raise AddressError("Name the repository as on the hub: organisation/name.")
    if address.revision and not is_revision(address.revision):
        raise AddressError("The revision is no branch, tag or commit.")
    if address.subfolder and not is_folder(address.subfolder):
        raise AddressError("The folder cannot be one of a repository.")
