"""A folder that somebody chose in a browser: its names laid out on disk, so that it is searched as any other.

The browser sends names and sizes first, is told which few files to read, and sends those. The folder that
comes of it is empty but for them, and goes away with the request.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from evaluation.checkpoints import ADAPTER_CONFIG_FILE, ADAPTER_FILE
from evaluation.errors import DataError
from evaluation.flowerconfig import CONFIG_FILE
from evaluation.inspection.folder import AppFolder, app_configs, gather
from evaluation.inspection.material import MaterialFile

MAX_FILES = 5_000
MAX_DEPTH = 16
"""Parts of a path; what lies deeper is left alone, as nothing of a submission does."""

MAX_NAME_BYTES = 255
MAX_SIZE = 2**43
MAX_READ = 16 * 1024**2
"""Bytes of all files that are read from the browser."""

MAX_TEXT = 4 * 1024**2
"""Bytes of one file; of an adapter at least its header is within them."""

RECORD_FILE = "training.json"
"""What the site's federated training leaves beside the adapter."""

_IGNORED = {"__MACOSX", "__pycache__", "node_modules", "site-packages", "venv", "env", "wandb"}


class ChoiceRefused(Exception):
    """What was chosen cannot be read; the message says why."""


@dataclass(frozen=True)
class ListedFile:
    """A file by its path in what was chosen, `size` bytes long, last changed at `modified` (any clock)."""

    path: str
    size: int
    modified: float


@dataclass(frozen=True)
class Wanted:
    """A file that the browser is to send, its first `size` bytes at most."""

    path: str
    size: int
    is_adapter: bool


@dataclass(frozen=True)
class Selection:
    """What somebody chose where there are several: an app's and a checkpoint's folder; "" leaves it open."""

    app: str = ""
    checkpoint: str = ""


@dataclass(frozen=True)
class Found:
    """The submission among the files. Paths are those of the browser.

    `files` are the form's file fields, `sizes` their paths with bytes. `apps` and `checkpoints` are the
    folders to choose from, the newest first. `unread` are files that are too large to send.
    """

    folder: AppFolder
    files: Mapping[str, str]
    sizes: Mapping[str, int]
    apps: tuple[str, ...]
    checkpoints: tuple[str, ...]
    app: str
    checkpoint: str
    record: Path | None
    wanted: tuple[Wanted, ...]
    unread: tuple[str, ...]


@dataclass
class Layout:
    """The names as empty files under `root`, a folder of this request alone."""

    root: Path
    sizes: dict[str, int] = field(default_factory=dict)
    modified: dict[str, float] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)

    def lay_out(self, files: Iterable[ListedFile]) -> None:
        """Raises ChoiceRefused for names that lead elsewhere, cannot be, or are too many."""
        for number, each in enumerate(files):
            if number >= MAX_FILES:
                raise ChoiceRefused(
                    f"These are over {MAX_FILES:,} files. Choose the Flower app's folder alone."
                )
            parts = _parts(each.path)
            if len(parts) > MAX_DEPTH or any(part.startswith(".") or part in _IGNORED for part in parts):
                continue
            place = self.root.joinpath(*parts)
            try:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.touch()
                if not place.is_file():
                    raise IsADirectoryError
            except OSError as error:
                raise ChoiceRefused(f"The name {each.path[:200]!r} cannot be read.") from error
            self.sizes[each.path] = each.size
            self.modified[each.path] = each.modified
        if not self.sizes:
            raise ChoiceRefused(_nothing())

    def fill(self, sent: Iterable[tuple[str, int]], contents: BinaryIO) -> None:
        """Write the files that came, one behind the other in `contents`. Raises ChoiceRefused."""
        for path, size in sent:
            if path not in self.sizes or size > MAX_TEXT + 8 or sum(self.sent.values()) + size > MAX_READ:
                raise ChoiceRefused("The browser sent files that nobody asked for. Choose them again.")
            content = contents.read(size)
            if len(content) != size:
                raise ChoiceRefused("A file changed while it was read. Choose the files again.")
            self.root.joinpath(path).write_bytes(content)
            self.sent[path] = size

    def find(self, selection: Selection) -> Found:
        """The submission, as `evaluation.inspection.folder` finds it. Raises ChoiceRefused."""
        root = _top(self.root)
        configs = sorted(app_configs(root), key=lambda path: self._age(path))
        apps = tuple(self._name(path.parent) for path in configs) if len(configs) > 1 else ()
        app = selection.app if selection.app in apps else next(iter(apps), "")
        start = self.root / app if app else root
        try:
            folder = gather(start, whole=True)
            checkpoints = tuple(map(self._name, folder.files.checkpoints))
            checkpoint = selection.checkpoint if selection.checkpoint in checkpoints else ""
            if checkpoint and self.root / checkpoint != folder.files.adapter:
                folder = gather(start, whole=True, checkpoint=self.root / checkpoint)
        except DataError as error:
            raise ChoiceRefused(_nothing()) from error
        found = self._found(folder)
        return replace(found, apps=apps, checkpoints=checkpoints, app=app)

    def _found(self, folder: AppFolder) -> Found:
        files, material = folder.files, folder.material
        adapter = files.adapter
        record = next((p for p in _beside(files.root, adapter, files.config) if p.is_file()), None)
        places = {
            "adapter_model": adapter / ADAPTER_FILE if adapter else None,
            "adapter_config": adapter / ADAPTER_CONFIG_FILE if adapter else None,
            "pyproject": files.config,
            "flower_run": files.flower_run,
        }
        there = {name: path for name, path in places.items() if path and path.is_file()}
        read = [*there.values(), *([record] if record else []), *files.logs, *files.sources]
        wanted, unread, total = [], [], sum(self.sent.values())
        for path in dict.fromkeys(read):
            name = self._name(path)
            is_adapter = path == there.get("adapter_model")
            size = min(self.sizes[name], MAX_TEXT)
            if name in self.sent:
                continue
            if total + size > MAX_READ or (path in files.logs and self.sizes[name] > MAX_TEXT):
                unread.append(name)
                continue
            total += size
            wanted.append(Wanted(name, size, is_adapter))
        lacking = set(unread)
        kept = replace(
            material,
            bundles=(),  # too large to be read here
            adapter=self._adapter(folder, there.get("adapter_model")),
            logs=tuple(
                log
                for log, path in zip(material.logs, files.logs, strict=True)
                if self._name(path) not in lacking
            ),
            sources=tuple(
                source
                for source, path in zip(material.sources, files.sources, strict=True)
                if self._name(path) not in lacking
            ),
        )
        return Found(
            folder=replace(folder, material=kept),
            files={name: self._name(path) for name, path in there.items()},
            sizes={self._name(path): self.sizes[self._name(path)] for path in there.values()},
            apps=(),
            checkpoints=(),
            app="",
            checkpoint=self._name(adapter) if adapter else "",
            record=record,
            wanted=tuple(wanted),
            unread=tuple(unread),
        )

    def _adapter(self, folder: AppFolder, path: Path | None) -> MaterialFile | None:
        """The adapter at its true size, as a file with a hole where only its header came."""
        file = folder.material.adapter
        if file is None or path is None:
            return file
        size = self.sizes[self._name(path)]
        os.truncate(path, size)
        return replace(file, size=size, header_only=self.sent.get(self._name(path), 0) < size)

    def _name(self, path: Path) -> str:
        name = path.relative_to(self.root).as_posix()
        return "" if name == "." else name

    def _age(self, config: Path) -> tuple[float, str]:
        """Newest app first: by what changed last in its folder."""
        prefix = f"{self._name(config.parent)}/"
        newest = max((when for name, when in self.modified.items() if name.startswith(prefix)), default=0)
        return -newest, prefix


def _parts(path: str) -> list[str]:
    parts = path.split("/")
    try:
        is_sound = all(
            part not in ("", ".", "..") and "\0" not in part and len(part.encode()) <= MAX_NAME_BYTES
            for part in parts
        )
    except UnicodeEncodeError:
        is_sound = False
    if not is_sound:
        raise ChoiceRefused(
            f"The name {path[:200]!r} leads out of the folder or cannot be a file's. Remove it."
        )
    return parts


def _top(root: Path) -> Path:
    """The folder that was meant: a zip, and a chosen folder, has its own name around everything."""
    while len(inside := list(root.iterdir())) == 1 and inside[0].is_dir():
        root = inside[0]
    return root


def _beside(root: Path, adapter: Path | None, config: Path | None) -> list[Path]:
    """Where the record of a training may be."""
    folders = [adapter, adapter and adapter.parent, config and config.parent, root]
    inside = [each for each in folders if each and each.is_relative_to(root)]
    return [each / RECORD_FILE for each in dict.fromkeys(inside)]


def _nothing() -> str:
    return (
        f"No submission is in there. Looked for: {CONFIG_FILE}, here or one folder below; {ADAPTER_FILE} or "
        f"{ADAPTER_CONFIG_FILE}, here or in a folder such as results/…/peft_200. Choose the app's folder."
    )
