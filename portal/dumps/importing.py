"""Makes a read-only mirror: fills an empty database and the storage from a dump."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pgtrigger
import pyarrow
from django.core.exceptions import SuspiciousFileOperation, ValidationError
from django.core.files import File as DjangoFile
from django.core.files.storage import default_storage
from django.core.management.color import no_style
from django.db import DatabaseError, connection, transaction

from portal.accounts.models import Team, User
from portal.dumps import parquet
from portal.dumps.manifest import DumpError, File, Manifest
from portal.dumps.models import Mirror
from portal.dumps.tables import ITEM_COLUMNS, ITEMS, TABLES, Table
from portal.runs.models import Score
from portal.submissions.models import BaseModel, Submission

_ACCOUNT = "mirror"
"""Whom a mirror's rows name where the site does not tell a person."""


def import_dump(manifest: Manifest, folder: Path) -> Mirror:
    """Fill the database. Raises DumpError where it is not empty or the files do not fit together; then
    nothing of them is left in it."""
    named = {file.table for file in manifest.files}
    needed = (*(one.name for one in TABLES if not one.is_added), ITEMS)
    if missing := next((name for name in needed if name not in named), None):
        raise DumpError(f"The manifest names no file of the table {missing}.")
    if filled := next(
        (one for one in (User, Team, Submission, BaseModel) if one._default_manager.exists()), None
    ):
        rows = filled._meta.verbose_name_plural
        raise DumpError(f"The database is not empty: it has {rows}. A mirror needs one of its own.")
    try:
        # Rows come in the state in which they are; the triggers know only the way there. They are let be
        # around the transaction: its own error would not come out past a statement that follows it.
        with pgtrigger.ignore(), transaction.atomic():
            account = User(username=_ACCOUNT, is_active=False)
            account.set_unusable_password()
            account.save()
            for table in (one for one in TABLES if one.mirrored):
                for file in (one for one in manifest.files if one.table == table.name):
                    _fill(table, file, folder, account)
            for file in (one for one in manifest.files if one.table == ITEMS):
                _store_items(file, folder)
            _go_on_counting()
            return Mirror.objects.create(
                site=manifest.site, as_of=manifest.created_at, manifest=manifest.to_json()
            )
    except (DatabaseError, ValidationError) as error:
        raise DumpError(f"The files do not fit together: {error}") from error


@contextmanager
def _reading(file: File) -> Iterator[None]:
    """Names the file in what is wrong with its content."""
    try:
        yield
    except KeyError as error:
        raise DumpError(str(error.args[0])) from error
    except (pyarrow.ArrowInvalid, ValueError, SuspiciousFileOperation, Score.DoesNotExist) as error:
        raise DumpError(f"{file.name} cannot be taken over: {error}") from error


def _fill(table: Table, file: File, folder: Path, account: User) -> None:
    persons = dict.fromkeys(table.persons, account.pk)
    count = 0
    with _reading(file):
        for part in parquet.read(folder / file.name, table.columns, table.added):
            rows = [table.model(**row, **table.fixed, **persons) for row in part]
            count += len(table.model._default_manager.bulk_create(rows))
    _check_count(file, count)


def _check_count(file: File, count: int) -> None:
    if count != file.rows:
        raise DumpError(f"{file.name} has {count} rows, not {file.rows} as the manifest says.")


def _store_items(file: File, folder: Path) -> None:
    """Each score's answers as the file of lines that pages read; the rows of a score follow one another."""
    count = 0
    with _reading(file):
        for score, answers in groupby(_rows(folder / file.name), key=lambda row: row["score_id"]):
            count += _store_answers(score, answers)
    _check_count(file, count)


def _store_answers(score: int, answers: Iterable[dict[str, Any]]) -> int:
    names = Score.objects.values_list("evaluation_id", "benchmark").get(pk=score)
    count = 0
    with TemporaryFile() as lines:
        for answer in answers:
            kept = {name: value for name, value in answer.items() if name not in ("score_id", "position")}
            lines.write(json.dumps(kept, ensure_ascii=False).encode() + b"\n")
            count += 1
        size = lines.tell()
        lines.seek(0)
        stored = default_storage.save("evaluations/{}/{}.jsonl".format(*names), DjangoFile(lines))
    Score.objects.filter(pk=score).update(items=stored, items_bytes=size)
    return count


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    for part in parquet.read(path, ITEM_COLUMNS):
        yield from part


def _go_on_counting() -> None:
    """Numbers of rows go on after those that came."""
    models = [table.model for table in TABLES]
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), models):
            cursor.execute(statement)
