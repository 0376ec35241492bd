"""`manage.py ngrams`: which items share an n-gram with which training data, as far as the data are here."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from evaluation.benchmarks import BENCHMARKS
from evaluation.data import training
from evaluation.data.overlap import compare_training_set, index_of
from evaluation.errors import DataError, HubError
from evaluation.overlap.index import Index
from evaluation.rules.challenges import CHALLENGES
from portal.runs import ngrams
from portal.runs.data_register import SiteRegister


class Command(BaseCommand):
    help = (
        "Make the digests of the n-grams of every benchmark's items, which /api/v1/benchmarks/SLUG/ngrams/ "
        "gives to everybody, and hold the challenges' training sets against them. Run it again when other "
        "rows become the official ones."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--data", metavar="DIR", help="a data folder, or `demonstration` (default: the hub's rows)"
        )
        parser.add_argument(
            "--training-data",
            type=Path,
            metavar="DIR",
            help="a folder with CHALLENGE.jsonl, dashes as underscores (default: the hub's rows)",
        )
        parser.add_argument("--no-training-sets", action="store_true", help="make the digests alone")

    def handle(self, *args: Any, data: str | None, **options: Any) -> None:
        indexes = [index for slug in BENCHMARKS if (index := self._index(slug, data))]
        if not indexes:
            raise CommandError("No benchmark's rows are here. Give their folder with --data.")
        for index in indexes:
            ngrams.store(index)
        if not options["no_training_sets"]:
            self._training_sets(indexes, options["training_data"])

    def _index(self, slug: str, data: str | None) -> Index | None:
        try:
            index = index_of(BENCHMARKS[slug], data, register=SiteRegister())
        except (DataError, HubError) as error:
            self.stderr.write(f"{slug}: left out, {error}")
            return None
        self.stdout.write(f"{slug}: {index.comparable:,} of {index.items:,} items are comparable")
        return index

    def _training_sets(self, indexes: list[Index], folder: Path | None) -> None:
        found = ngrams.training_sets()
        for slug, challenge in CHALLENGES.items():
            wanted = challenge.training_set
            try:
                path = (
                    folder / f"{slug.replace('-', '_')}.jsonl"
                    if folder
                    else training.fetch(wanted, settings.VAR_DIR / "training-sets", SiteRegister())
                )
                overlap = ngrams.overlap_of(compare_training_set(path, indexes))
            except (DataError, HubError) as error:
                self.stderr.write(f"{wanted.hub_id}: left out, {error}")
                continue
            found[wanted.hub_id] = overlap
            touched = [share for share in overlap.shares if share.touched]
            shown = ", ".join(f"{each.benchmark} {each.touched:,} of {each.items:,}" for each in touched)
            self.stdout.write(f"{wanted.hub_id}, {overlap.rows:,} rows: {shown or 'none'}")
        ngrams.store_training_sets(found)
