"""Writes a dump: all public data of one moment as Parquet files, with a manifest."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files import File as DjangoFile
from django.core.files.storage import default_storage
from django.db import connection, transaction
from django.utils import timezone

from evaluation.rules.challenges import CHALLENGES
from evaluation.rules.protocol import PROTOCOLS
from portal.dumps import parquet
from portal.dumps.manifest import NAME, File, Manifest
from portal.dumps.models import Dump
from portal.dumps.tables import ITEM_COLUMNS, ITEMS, TABLES, scores_with_items
from portal.runs.items import ItemsMissingError, open_items
from portal.transparency.reading import current_head, head_in_words

KEPT = 7
"""So many dumps stay; older ones are deleted."""
_FOLDER = "dumps"


def keep_dump() -> Dump:
    """Write a dump into storage, where the site offers it, and delete those over the number that is kept."""
    with tempfile.TemporaryDirectory(prefix="dump-") as place:
        manifest = write(Path(place))
        folder = f"{_FOLDER}/{manifest.created_at:%Y-%m-%dT%H%M%SZ}"
        for name in (*(file.name for file in manifest.files), NAME):
            with (Path(place) / name).open("rb") as file:
                default_storage.save(f"{folder}/{name}", DjangoFile(file))
    kept = Dump.objects.create(created_at=manifest.created_at, folder=folder, manifest=manifest.to_json())
    for old in Dump.objects.all()[KEPT:]:
        for name in (*(file["name"] for file in old.manifest["files"]), NAME):
            default_storage.delete(f"{old.folder}/{name}")
        old.delete()
    return kept


@dataclass
class _Written:
    """A file that is being written: what it is told of when it is done."""

    folder: Path
    name: str
    table: str
    about: str

    def described(self, rows: int) -> File:
        path = self.folder / self.name
        with path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        return File(self.name, self.table, rows, path.stat().st_size, digest, self.about)


def write(folder: Path) -> Manifest:
    """Write it into a folder. All of it is of one moment: it is read in one transaction."""
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        files = [*_tables(folder), *_items(folder)]
        manifest = Manifest(
            site=settings.SITE_URL,
            created_at=timezone.now().replace(microsecond=0),
            protocols={
                str(number): {challenge: list(own) for challenge, own in protocol.benchmarks.items()}
                for number, protocol in PROTOCOLS.items()
            },
            log_head=_log_head(),
            files=tuple(files),
        )
    (folder / NAME).write_text(json.dumps(manifest.to_json(), ensure_ascii=False, indent=1) + "\n")
    return manifest


def _tables(folder: Path) -> Iterator[File]:
    for table in TABLES:
        file = _Written(folder, f"{table.name}.parquet", table.name, table.about)
        fields = [column.read for column in table.columns]
        rows = table.rows().order_by("pk").values_list(*fields).iterator(parquet.ROW_GROUP)
        yield file.described(parquet.write(folder / file.name, table.columns, rows))


def _items(folder: Path) -> Iterator[File]:
    for challenge in CHALLENGES.values():
        about = f"Every single answer of published entries, {challenge.title}"
        file = _Written(folder, f"{ITEMS}-{challenge.slug}.parquet", ITEMS, about)
        yield file.described(parquet.write(folder / file.name, ITEM_COLUMNS, _answers(challenge.slug)))


def _answers(challenge: str) -> Iterator[list[Any]]:
    names = [column.name for column in ITEM_COLUMNS[2:]]
    for score in scores_with_items(challenge).only("items").iterator():
        try:
            opened = open_items(score)
        except ItemsMissingError:
            continue  # the entry's page says so, too
        with closing(opened) as lines:
            for position, line in enumerate(lines):
                answer: Mapping[str, Any] = json.loads(line)
                yield [score.pk, position, *(answer.get(name) for name in names)]


def _log_head() -> dict[str, Any] | None:
    head = current_head()
    return {"head": head_in_words(head), "envelope": head.envelope} if head else None
