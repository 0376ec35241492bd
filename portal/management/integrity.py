"""Holds the stored files against the database, and single answers against their scores. Changes nothing.

It may run on a live site: what looks wrong is looked at again, as its row may have changed meanwhile.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator
from datetime import timedelta
from itertools import islice
from typing import BinaryIO

from django.core.files.storage import default_storage
from django.utils import timezone

from portal.management.backups.references import all_references, referenced
from portal.runs.items import ItemsMissingError, kept_answers, open_items
from portal.runs.models import Score

_PART = 1000
_PIECE = 1024**2
_YOUNG = timedelta(hours=1)
"""Files are stored before their rows are: a younger one may still get its row."""


def wrong_files(without: Collection[str] = ()) -> Iterator[str]:
    """Files that are missing, or not what their record says; but for names that are known not to be here."""
    for reference in all_references():
        if reference.name in without:
            continue
        problem = _problem(reference.name, reference.sha256)
        if problem and referenced([reference.name]):
            yield f"{reference.name}: {problem}"


def wrong_items(without: Collection[str] = ()) -> Iterator[str]:
    """Scores whose single answers cannot be read, or are not those that the score counts; likewise."""
    for score in kept_answers().exclude(items__in=without).order_by("pk").iterator(_PART):
        try:
            with open_items(score) as file:
                problem = _unlike(score, _verdicts(file))
        except (ItemsMissingError, ValueError) as error:
            problem = str(error)
        if problem and Score.objects.filter(pk=score.pk).exists():
            yield f"{score.items.name}, of score {score.pk}: {problem}"


def wrong_scores() -> Iterator[str]:
    """Scores whose figures do not follow from their counts, or whose counts do not from their bits."""
    for score in Score.objects.order_by("pk").iterator(_PART):
        scored = score.n - score.unscored
        value = score.correct / scored if scored else None
        if score.value != value:
            yield f"score {score.pk} is {score.value}, and {score.correct} of {scored} are {value}"
        if score.correct_bits:
            counts = tuple(_ones(bits) for bits in (score.correct_bits, score.scored_bits))
            if counts != (score.correct, scored):
                yield (
                    f"the bits of score {score.pk} have {counts[0]} right of {counts[1]}, and the score "
                    f"{score.correct} of {scored}"
                )


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


def _verdicts(file: BinaryIO) -> list[bool | None]:
    """Of each item whether its answer is right, None where it is unscored. Raises ValueError."""
    found = []
    for line in file:
        row = json.loads(line)
        if not isinstance(row, dict):
            raise ValueError("a line is no object")
        found.append(row.get("correct"))
    return found


def _unlike(score: Score, verdicts: list[bool | None]) -> str:
    """What tells these answers from those that were scored; "" where nothing does."""
    found = (len(verdicts), verdicts.count(True), verdicts.count(None))
    stated = (score.n, score.correct, score.unscored)
    if found != stated:
        return "{} items, {} right, {} unscored, and the score has {}, {}, {}".format(*found, *stated)
    if score.correct_bits and _packed(one is True for one in verdicts) != bytes(score.correct_bits):
        return "other items are right than those of the score's bits"
    return ""


def _packed(flags: Iterable[bool]) -> bytes:
    """As numpy.packbits does it."""
    bits = "".join("01"[flag] for flag in flags)
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")


def _ones(bits: bytes) -> int:
    return int.from_bytes(bits, "big").bit_count()


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
