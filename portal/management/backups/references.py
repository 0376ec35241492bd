"""Which stored files the database speaks of. Everything else in storage is an orphan."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from django.db.models import F, Q, QuerySet, TextField, Value
from django.db.models.functions import Cast, Collate

from portal.runs.items import kept_answers
from portal.submissions.models import Checkpoint, Submission
from portal.uploads.models import Upload

_PART = 2000


@dataclass(frozen=True)
class Reference:
    """A file's name in storage, and its SHA-256 where a record has it."""

    name: str
    sha256: str


@dataclass(frozen=True)
class _Source:
    """A column of names; `digest` is the column with the file's SHA-256."""

    rows: QuerySet[Any]
    name: str
    digest: str = ""


def _sources() -> tuple[_Source, ...]:
    """Bytes of uploads that are not complete are none of it: they change, and are sent again."""
    whole = Upload.objects.kept().filter(completed_at__isnull=False)
    return (
        _Source(Checkpoint.objects.all(), "file", "sha256"),
        _Source(whole, "file", "sha256"),
        _Source(Submission.objects.all(), "adapter_file"),
        _Source(kept_answers(), "items"),
    )


def all_references() -> Iterator[Reference]:
    """Each file once, in the order of the names' code points."""
    first, *others = map(_rows, _sources())
    rows = first.union(*others).order_by("stored_as").iterator(_PART)
    for name, found in groupby(rows, key=lambda row: row[0]):
        yield Reference(name, max(digest for _, digest in found))


def referenced(names: Collection[str]) -> set[str]:
    """Those of the names that are spoken of at this moment, by unfinished uploads too."""
    found: set[str] = set()
    for source in (*_sources(), _Source(Upload.objects.all(), "file")):
        chosen = source.rows.filter(Q(**{f"{source.name}__in": names}))
        found |= set(chosen.order_by().values_list(source.name, flat=True))
    return found


def unfinished_uploads() -> int:
    """How many uploads are under way, whose bytes no backup has."""
    return Upload.objects.kept().filter(completed_at=None).count()


def _rows(source: _Source) -> QuerySet[Any, Any]:
    digest = F(source.digest) if source.digest else Value("")
    return (
        source.rows.exclude(**{source.name: ""})
        .order_by()
        .annotate(
            stored_as=Collate(Cast(F(source.name), TextField()), "C"),
            stored_digest=Collate(Cast(digest, TextField()), "C"),
        )
        .values_list("stored_as", "stored_digest")
    )
