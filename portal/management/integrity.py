"""Holds the stored files against the database, and single answers against their scores. Changes nothing.

It may run on a live site: what looks wrong is looked at again, as its row may have changed meanwhile.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from typing import BinaryIO

from django.core.files.storage import default_storage
from django.utils import timezone

from portal.management.backups.references import all_references, referenced
from portal.runs.items import ItemsMissingError, open_items
from portal.runs.models import Score

_PART = 1000
_PIECE = 1024**2
_YOUNG = timedelta(hours=1)
"""Files are stored before their rows are: a younger one may still get its row."""


def wrong_files() -> Iterator[str]:
    """Files that are missing, or not what their record says."""
    for reference in all_references():
        problem = _problem(reference.name, reference.sha256)
        if problem and referenced([reference.name]):
            yield f"{reference.name}: {problem}"


def wrong_items() -> Iterator[str]:
    """Scores whose single answers cannot be read, or do not add up to them."""
    for score in Score.objects.exclude(items="").order_by("pk").defer("correct_bits").iterator(_PART):
        try:
            with open_items(score) as file:
                found = _counts(file)
        except (ItemsMissingError, ValueError) as error:
            problem = str(error)
        else:
            stated = (score.n, score.correct, score.unscored)
            if found == stated:
                continue
            problem = "{} items, {} right, {} unscored".format(*found)
            problem += ", and the score has {}, {}, {}".format(*stated)
        if Score.objects.filter(pk=score.pk).exists():
            yield f"{score.items.name}, of score {score.pk}: {problem}"


def orphans() -> Iterator[str]:
    """Files that no row speaks of, an hour old at least."""
    for names in _parts(_stored("")):
        for name in sorted(set(names) - referenced(names)):
            try:
                is_young = timezone.now() - default_storage.get_modified_time(name) < _YOUNG
            except FileNotFoundError:
                continue
            if not is_young:
                yield name


def _problem(name: str, sha256: str) -> str:
    if not default_storage.exists(name):
        return "missing in storage"
    if not sha256:
        return ""
    digest = hashlib.sha256()
    try:
        with default_storage.open(name, "rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
    except OSError as error:
        return f"cannot be read: {error}"
    return "" if digest.hexdigest() == sha256 else "damaged, as its SHA-256 is another than its record's"


def _counts(file: BinaryIO) -> tuple[int, int, int]:
    """Items, right ones, unscored ones. Raises ValueError."""
    items = right = unscored = 0
    for line in file:
        row = json.loads(line)
        if not isinstance(row, dict):
            raise ValueError("a line is no object")
        items += 1
        right += row.get("correct") is True
        unscored += row.get("correct") is None
    return items, right, unscored


def _stored(folder: str) -> Iterator[str]:
    try:
        folders, files = default_storage.listdir(folder)
    except FileNotFoundError:
        return
    prefix = f"{folder}/" if folder else ""
    for name in files:
        yield f"{prefix}{name}"
    for name in folders:
        yield from _stored(f"{prefix}{name}")


def _parts(names: Iterator[str]) -> Iterator[list[str]]:
    while part := list(islice(names, _PART)):
        yield part
