"""The files of a dump from a folder or from a site, each held against the manifest before it is read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urljoin

import httpx

from portal.dumps.manifest import NAME, DumpError, File, Manifest

_TIMEOUT = httpx.Timeout(60.0, connect=15.0)


@contextmanager
def opened(place: str) -> Iterator[tuple[Manifest, Path]]:
    """The manifest, and the folder with its files, which are as it says. `place` is a folder or an address of
    a dump or of its manifest. Raises DumpError."""
    if place.startswith(("http://", "https://")):
        with TemporaryDirectory(prefix="dump-") as made:
            yield _fetched(place, Path(made)), Path(made)
        return
    folder = Path(place)
    try:
        manifest = Manifest.parse((folder / NAME).read_bytes())
    except OSError as error:
        raise DumpError(f"{folder} holds no {NAME}: {error.strerror}.") from error
    for file in manifest.files:
        _check(folder, file)
    yield manifest, folder


def _fetched(address: str, folder: Path) -> Manifest:
    wanted = address if address.endswith(NAME) else f"{address.rstrip('/')}/{NAME}"
    try:
        with httpx.Client(timeout=_TIMEOUT, follow_redirects=True) as client:
            answer = client.get(wanted).raise_for_status()
            manifest = Manifest.parse(answer.content)
            for file in manifest.files:
                with (
                    client.stream("GET", urljoin(str(answer.url), _name(file))) as response,
                    (folder / _name(file)).open("wb") as written,
                ):
                    for piece in response.raise_for_status().iter_bytes():
                        written.write(piece)
                _check(folder, file)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise DumpError(f"{wanted} cannot be fetched: {error}") from error
    return manifest


def _name(file: File) -> str:
    """Its name, which is of no other folder. Raises DumpError."""
    if not file.name.endswith(".parquet") or Path(file.name).name != file.name:
        raise DumpError(f"The manifest names a file {file.name!r}.")
    return file.name


def _check(folder: Path, file: File) -> None:
    path = folder / _name(file)
    try:
        with path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise DumpError(f"{path} cannot be read: {error.strerror}.") from error
    if digest != file.sha256:
        raise DumpError(f"{file.name} is not the file that the manifest names: its SHA-256 is another.")
