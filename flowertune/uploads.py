"""Sending a large file by the tus protocol 1.0.0 (https://tus.io/protocols/resumable-upload), resumable."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO

import httpx

from flowertune.errors import ClientError, NotThere, TemporaryError
from flowertune.kept_files import Delivery
from flowertune.site import Site

CHUNK_BYTES = 8 * 1024**2
_VERSION = {"Tus-Resumable": "1.0.0"}
_OFFSET = "Upload-Offset"
# The upload is not where the request began: an answer was lost, or its bytes were.
_STANDS_ELSEWHERE = ("upload.offset", "upload.cut_off", "upload.checksum")
_CHANGED = "The file was changed while it was sent. Run the command again once nothing writes to it."

Advanced = Callable[[int], None]


@dataclass(frozen=True)
class LocalFile:
    """A file on this disk as it was when it was inspected."""

    path: Path
    size: int
    sha256: str


def upload(site: Site, file: LocalFile, state: Delivery, advanced: Advanced) -> str:
    """Bring the file to the site and return the upload's id; goes on where an earlier call stopped.

    `advanced` is told the offset whenever it moves. Raises ClientError; on TemporaryError the bytes that
    came are kept, and `state` says where.
    """
    address, offset = _begun(site, file, state)
    advanced(offset)
    patience = site.patience()
    try:
        with file.path.open("rb") as content:
            while offset < file.size:
                try:
                    offset = _send_chunk(site, address, content, offset, file.size)
                    patience.reset()
                except TemporaryError as error:
                    patience.after(error)
                    offset = _offset(site, address)
                advanced(offset)
    except NotThere as error:
        state.lost()
        message = "The site lost this upload. Run the same command again to send it anew."
        raise TemporaryError(message, code=error.code) from error
    except OSError as error:
        raise ClientError(f"{file.path} cannot be read: {error.strerror}") from error
    if site.document("GET", address).get("sha256") != file.sha256:
        site.send("DELETE", address, headers=_VERSION)
        state.lost()
        raise TemporaryError(_CHANGED)
    state.completed()
    return upload_id(address)


def upload_id(address: str) -> str:
    return address.rstrip("/").rpartition("/")[2]


def _begun(site: Site, file: LocalFile, state: Delivery) -> tuple[str, int]:
    """The upload's path and how far it is: one that was begun before, else a new one."""
    if state.upload:
        try:
            return state.upload, _offset(site, state.upload)
        except NotThere:
            state.lost()
    name = base64.b64encode(file.path.name.encode()).decode()
    headers = {**_VERSION, "Upload-Length": str(file.size), "Upload-Metadata": f"filename {name}"}
    address = site.path_of(site.send("POST", "uploads/", headers=headers).headers.get("Location", ""))
    state.began(address)
    return address, 0


def _send_chunk(site: Site, address: str, content: BinaryIO, offset: int, size: int) -> int:
    """Send what begins at `offset`, and return where the upload then stands."""
    content.seek(offset)
    chunk = content.read(min(CHUNK_BYTES, size - offset))
    if not chunk:
        raise ClientError(_CHANGED)
    digest = base64.b64encode(hashlib.sha256(chunk).digest()).decode()
    headers = {
        **_VERSION,
        _OFFSET: str(offset),
        "Content-Type": "application/offset+octet-stream",
        "Upload-Checksum": f"sha256 {digest}",
    }
    try:
        answer = site.send_once("PATCH", address, content=chunk, headers=headers)
    except ClientError as error:
        if error.code in _STANDS_ELSEWHERE:
            raise TemporaryError(str(error), error.findings, code=error.code) from error
        raise
    return _stated(site, answer)


def _offset(site: Site, address: str) -> int:
    return _stated(site, site.send("HEAD", address, headers=_VERSION))


def _stated(site: Site, answer: httpx.Response) -> int:
    text = answer.headers.get(_OFFSET, "")
    if answer.status_code not in (HTTPStatus.OK, HTTPStatus.NO_CONTENT) or not text.isdecimal():
        raise site.unexpected()
    return int(text)
