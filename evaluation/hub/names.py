"""Names of repositories on the hub, and of revisions and folders in them. Light to import, unlike the hub."""

from __future__ import annotations

import re

MAX_PATH = 200

_REPOSITORY = re.compile(r"[\w-][\w.-]{0,95}/[\w-][\w.-]{0,95}", re.ASCII)
_PATH = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*){0,7}", re.ASCII)


def is_repository(name: str) -> bool:
    """Whether a text has the form owner/name."""
    return _REPOSITORY.fullmatch(name) is not None


def is_path(name: str) -> bool:
    """Whether a text may name a revision (branch, tag, commit, refs/pr/1) or a folder of a repository."""
    return len(name) <= MAX_PATH and _PATH.fullmatch(name) is not None
