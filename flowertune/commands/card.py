"""`card`: writes an entry's results into a model's folder, and on wish proposes them to its repository."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.hub.names import is_repository
from evaluation.hub.pull_request import TOKEN_VARIABLE, PullRequest, Repository
from flowertune.answers import Submission
from flowertune.commands.options import Commands, Context, add_command, number
from flowertune.errors import ClientError, NotThere, UsageError
from flowertune.exit_status import Status
from flowertune.model_card import README, with_results
from flowertune.site import Site

_ADAPTER = "adapter_model.safetensors"
_FOLDER = ".eval_results"
_ABOUT = (
    f"Write what the site measured into {README} (the front matter's model-index) and, where the items were "
    f"those of data sets of the hub, into {_FOLDER}/. All else in {README} stays as it is, and a second call "
    "changes nothing. Without --entry it is the published entry of yours that has the folder's adapter."
)


def add(commands: Commands) -> None:
    parser = add_command(
        commands,
        "card",
        _card,
        summary="write an entry's results into a model's folder",
        about=_ABOUT,
        examples=(
            "  flowertune card results/peft_8 --entry 12\n"
            f"  {TOKEN_VARIABLE}=hf_... flowertune card results/peft_8 --pull-request\n"
        ),
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the model's folder")
    parser.add_argument("--entry", type=number, metavar="ID", help="the entry's number")
    parser.add_argument(
        "--pull-request",
        action="store_true",
        help=f"also open a pull request on the hub's repository that was submitted, with {TOKEN_VARIABLE}",
    )


@dataclass(frozen=True)
class _Results:
    """What the site has of an entry: its model-index, its page, and its results for the hub, or why not.

    `repository` is the one on the hub that the files came from, "" where there is none.
    """

    entry: int
    page: str
    index: str
    hub_name: str
    hub_text: str
    refused: str
    repository: str

    def applied(self, readme: str) -> dict[str, bytes]:
        """The files of a model with the results, from its card as it is."""
        files = {README: with_results(readme, self.index, self.page).encode()}
        if self.hub_text:
            files[f"{_FOLDER}/{self.hub_name}"] = self.hub_text.encode()
        return files


def _card(context: Context) -> Status:
    folder: Path = context.options.folder
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder.")
    entry: int | None = context.options.entry
    # Whose entry it is, and which repository it came from, is told to its team alone.
    with context.site(needs_token=entry is None or context.options.pull_request) as site:
        results = _fetched(site, entry if entry is not None else _entry_of(site, folder))
    files = results.applied(_text(folder / README))
    changed = [name for name, content in files.items() if _write(folder / name, content)]
    address = _proposed(context, results) if context.options.pull_request else ""
    document = {
        "entry": results.entry,
        "changed": changed,
        "unchanged": [name for name in files if name not in changed],
        "refused": results.refused,
        "pull_request": address or None,
    }
    context.console.result(document, _as_text(document))
    return Status.DONE


def _entry_of(site: Site, folder: Path) -> int:
    """The user's published entry with the folder's adapter."""
    try:
        digest = hashlib.sha256((folder / _ADAPTER).read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(f"{folder} has no {_ADAPTER}. Name the entry: --entry ID.") from error
    for row in site.rows("submissions/", mine="true", status="published"):
        if row.get("checkpoint") == digest:
            return Submission.read(row).id
    raise UsageError(f"None of your published entries has the adapter of {folder}. Name one: --entry ID.")


def _fetched(site: Site, entry: int) -> _Results:
    offered = site.document("GET", f"entries/{entry}/exports/")
    offers = {str(row.get("format")): row for row in offered.get("results", []) if isinstance(row, dict)}
    index, hub = offers.get("model-index"), offers.get("hub-eval-results")
    if index is None or hub is None:
        raise site.unexpected()
    if not index.get("url"):
        raise ClientError(str(index.get("refused")))
    submission = site.document("GET", f"submissions/{entry}/")
    origin = str(submission.get("origin") or "").partition("@")[0]
    refused = str(hub.get("refused") or "")
    return _Results(
        entry=entry,
        page=str(offered.get("page")),
        index=_file(site, index),
        hub_name=Path(str(hub.get("file_name"))).name,
        hub_text="" if refused else _file(site, hub),
        refused=refused,
        repository=origin if is_repository(origin) else "",
    )


def _file(site: Site, offer: dict[str, Any]) -> str:
    return site.send("GET", site.path_of(str(offer["url"])), headers={"Accept": "*/*"}).text


def _text(path: Path) -> str:
    """A card as it is, "" where there is none. Raises UsageError."""
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as text in UTF-8.") from error


def _write(path: Path, content: bytes) -> bool:
    """Whether that changed anything."""
    try:
        if path.is_file() and path.read_bytes() == content:
            return False
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
    return True


def _proposed(context: Context, results: _Results) -> str:
    """Propose the results to the repository, from its own card; returns the address, "" where it has them."""
    token = os.environ.get(TOKEN_VARIABLE)
    if not token:
        raise UsageError(f"A pull request needs a token of the hub that may write: set {TOKEN_VARIABLE}.")
    if not results.repository:
        raise NotThere(
            f"Entry {results.entry} did not come from a repository on the hub, or is not of a team of yours."
        )
    repository = Repository(results.repository, token)
    try:
        readme = (repository.read(README) or b"").decode()
    except UnicodeDecodeError as error:
        raise ClientError(f"{README} of {results.repository} is no text in UTF-8.") from error
    files = {}
    for name, content in results.applied(readme).items():
        if repository.read(name) != content:
            files[name] = content
    if not files:
        context.console.note(f"{results.repository} has these results already.")
        return ""
    return repository.open(
        PullRequest(
            title="Add results of the FlowerTune Leaderboard",
            description=f"As measured for {results.page}. All else in {README} is unchanged.",
            files=files,
        )
    )


def _as_text(document: dict[str, Any]) -> str:
    lines = [f"wrote      {name}" for name in document["changed"]]
    lines += [f"unchanged  {name}" for name in document["unchanged"]]
    if document["refused"]:
        lines.append(f"left out   {_FOLDER}/: {document['refused']}")
    if document["pull_request"]:
        lines.append(f"opened     {document['pull_request']}")
    return "\n".join(lines)
