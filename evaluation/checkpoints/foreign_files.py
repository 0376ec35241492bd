"""What a file is that is not what its name says, by its first bytes."""

from __future__ import annotations

import re

JSON_TEXT = "a JSON text"
_JSON = re.compile(rb'\{\s*(?:["}]|$)')
_POINTER = b"version https://git-lfs"

_FOREIGN = (
    (b"PK\x03\x04", "a PyTorch pickle (zip archive)"),
    (b"GGUF", "a GGUF model"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x1f\x8b", "a gzip archive"),
    (_POINTER, "a Git LFS pointer, not the file it stands for (run git lfs pull in the clone)"),
)


def foreign_kind(start: bytes, but: str = "") -> str | None:
    """What a file that begins with `start` is, None where that cannot be told or is `but`.

    Some 64 bytes are enough.
    """
    text = start[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page (perhaps a log-in page that was saved in place of the file)"
    if _JSON.match(text) and b"\0" not in start[:256]:
        return None if but == JSON_TEXT else JSON_TEXT
    # The length of a short safetensors header may begin with the same two bytes, but zeros follow.
    if start[:1] == b"\x80" and start[1:2] in b"\2\3\4\5" and any(start[2:8]):
        return "a Python pickle"
    return next((kind for magic, kind in _FOREIGN if start.startswith(magic)), None)
