"""Collects the static files unless they are as they were: compressing them takes most of a start."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command

_STAMP = ".collected"
# What applications bring and no page of this site asks for.
_UNUSED = ["redoc", "rest_framework", "django_htmx"]


def collect() -> None:
    """Collect and compress the static files, unless the last time was with the same files and settings."""
    stamp = Path(settings.STATIC_ROOT) / _STAMP
    found = _fingerprint()
    if stamp.is_file() and stamp.read_text() == found:
        return
    stamp.unlink(missing_ok=True)  # whatever ends this half-way, the next start collects again
    call_command("collectstatic", interactive=False, clear=True, verbosity=0, ignore_patterns=_UNUSED)
    stamp.write_text(found)


def _fingerprint() -> str:
    """SHA-256 over what decides the result: each file with its size and time, the storage, the versions."""
    digest = hashlib.sha256(json.dumps([settings.STORAGES["staticfiles"], version("whitenoise")]).encode())
    for line in sorted(_files()):
        digest.update(line.encode())
    return digest.hexdigest()


def _files() -> Iterator[str]:
    for finder in get_finders():
        for path, storage in finder.list(_UNUSED):
            info = Path(storage.path(path)).stat()
            yield f"{path} {info.st_size} {info.st_mtime_ns}\n"
