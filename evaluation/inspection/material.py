"""What of a submission there is to inspect: its files, wherever they lie, by the names that findings use."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from evaluation.checkpoints import ADAPTER_CONFIG_FILE, ADAPTER_FILE
from evaluation.errors import DataError
from evaluation.findings import Finding
from evaluation.flowerconfig import CONFIG_FILE

SUBMITTED = (ADAPTER_FILE, ADAPTER_CONFIG_FILE, CONFIG_FILE)
"""The files of a submission."""


@dataclass(frozen=True)
class MaterialFile:
    """A file under the name that findings give it, of `size` bytes; `opened` is seekable and at its start.

    `header_only`: of an adapter only the safetensors header is there yet.
    """

    name: str
    size: int
    opened: Callable[[], AbstractContextManager[BinaryIO]]
    header_only: bool = False

    def content(self, limit: int) -> bytes:
        """The bytes, one past `limit` at most: enough for the checks to refuse it."""
        with self.opened() as file:
            return file.read(limit + 1)

    @classmethod
    def of_bytes(cls, content: bytes, name: str) -> MaterialFile:
        return cls(name, len(content), lambda: io.BytesIO(content))

    @classmethod
    def of_path(cls, path: Path, name: str) -> MaterialFile:
        """Raises DataError, now or when it is opened, where the file cannot be read."""
        try:
            size = path.stat().st_size
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from error
        return cls(name, size, lambda: _opened(path))


@dataclass(frozen=True)
class LogFile:
    """A file that may be a communication log. One that is `meant` has to be one, by its name or because
    somebody named it; of others only those count that have a log's lines."""

    file: MaterialFile
    is_meant: bool = True


@dataclass(frozen=True)
class Material:
    """The files of a submission as far as they are there, and those `expected` to be there, by name.

    `flower_run` is what Flower recorded of the run, which may be submitted with them.

    A folder has more than is submitted: the app's `bundles` and Python `sources`, communication `logs`, and
    the checkpoint's folder, called `peft_<round>`, with its place as `checkpoint`. `shards` are the files
    that stand there in the adapter's place. `findings` are of the search.
    """

    config: MaterialFile | None = None
    adapter_config: MaterialFile | None = None
    adapter: MaterialFile | None = None
    flower_run: MaterialFile | None = None
    expected: frozenset[str] = frozenset()
    bundles: tuple[MaterialFile, ...] = ()
    logs: tuple[LogFile, ...] = ()
    sources: tuple[MaterialFile, ...] = ()
    checkpoint: str = ""
    round: int | None = None
    shards: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """The names of the files that are expected and not there."""
        there = {file.name for file in (self.config, self.adapter_config, self.adapter) if file}
        return tuple(name for name in SUBMITTED if name in self.expected - there)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    with file:
        yield file
