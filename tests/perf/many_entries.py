"""Fills a board with tens of thousands of invented entries by COPY: the rows that the site would write.

The database's triggers and foreign keys are off meanwhile, so that it takes a minute, not an hour. Numbers of
rows are chosen by the caller: they go on after those that are there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from typing import Any

from django.apps import apps
from django.db import connection, models
from django.db.models import Max

from evaluation.rules.challenges import CHALLENGES
from evaluation.rules.protocol import CURRENT
from portal.management.seeding.entries import BATCH, MODELS, Board, Calendar, Invented
from portal.runs.models import Evaluation, Score
from portal.submissions.models import Checkpoint, Resource, Submission

_STEP = timedelta(minutes=5)  # 100,000 entries take a year


def fill(slug: str, entries: int, *, answered: int = 0, seed: int = 0) -> None:
    """Publish so many entries of a challenge, the first of them the untuned base models.

    The single answers of the last `answered` of them are stored as files, too.
    """
    board = _Copied(
        CHALLENGES[slug],
        seed=seed,
        data=Score.Data.OFFICIAL,
        calendar=Calendar(step=_STEP),
        answered=range(entries - answered, entries),
    )
    with _unchecked():
        for start in range(0, entries, BATCH):
            board.publish(board.draw(range(start, min(start + BATCH, entries)), untuned=len(MODELS)))
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


class _Copied(Board):
    """A board whose rows are copied in; the numbers of all are given here."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._next = {
            model: count((model.objects.aggregate(last=Max("pk"))["last"] or 0) + 1)  # type: ignore[attr-defined]
            for model in (Checkpoint, Submission, Resource, Evaluation, Score, _events())
        }

    def publish(self, entries: Sequence[Invented]) -> list[Submission]:
        checkpoints = self._copy(
            Checkpoint, [self._checkpoint(entry) for entry in entries if not entry.untuned]
        )
        adapted = dict(
            zip((entry.number for entry in entries if not entry.untuned), checkpoints, strict=True)
        )
        found: dict[int, Submission] = {}
        for further in (False, True):
            now = [entry for entry in entries if entry.repeats is further]
            made = [self._submission(entry, adapted.get(entry.number), found) for entry in now]
            copied = self._copy(Submission, made)
            found |= dict(zip((entry.number for entry in now), copied, strict=True))
        submissions = [found[entry.number] for entry in entries]
        self._copy(_events(), [_published(submission) for submission in submissions])
        self._copy(Resource, list(self._costs(submissions, entries)))
        evaluations = self._copy(Evaluation, [self._evaluation(submission) for submission in submissions])
        self._copy(Score, list(self._scored(evaluations, entries)))
        return submissions

    def _evaluation(self, submission: Submission) -> Evaluation:
        return Evaluation(
            submission=submission,
            base_model_id=submission.base_model_id,
            checkpoint_id=submission.checkpoint_id,
            protocol=CURRENT.number,
            status=Evaluation.Status.SUCCEEDED,
            finished_at=submission.published_at,
            provenance={
                "precision": CURRENT.precisions[self.challenge.slug],
                "engine": {"name": "none, invented"},
            },
        )

    def _costs(self, submissions: Sequence[Submission], entries: Sequence[Invented]) -> Iterator[Resource]:
        for submission, entry in zip(submissions, entries, strict=True):
            known = {} if entry.untuned else entry.method.derived() | entry.method.declared()
            for (kind, basis), value in known.items():
                yield Resource(submission=submission, kind=kind, basis=basis, value=value)

    def _scored(self, evaluations: Sequence[Evaluation], entries: Sequence[Invented]) -> Iterator[Score]:
        methods = [entry.method for entry in entries]
        abilities = self._answers.abilities(methods, [entry.untuned for entry in entries])
        for slug in self.benchmarks:
            right = self._answers.right(slug, methods, abilities)
            names = [
                self._items(slug, evaluation, entry, row)
                for evaluation, entry, row in zip(evaluations, entries, right, strict=True)
            ]
            yield from self._scores(slug, evaluations, right, names)

    def _copy(self, model: type[models.Model], rows: list[Any]) -> list[Any]:
        """Give the rows their numbers and copy them into their table."""
        fields = model._meta.concrete_fields
        for row in rows:
            row.pk = next(self._next[model])
        columns = ", ".join(f'"{field.column}"' for field in fields)
        with connection.cursor() as cursor:
            copying = cursor.cursor.copy(f'COPY "{model._meta.db_table}" ({columns}) FROM STDIN')
            with copying as copy:
                for row in rows:
                    copy.write_row(
                        [field.get_db_prep_save(getattr(row, field.attname), connection) for field in fields]
                    )
        return rows


def _published(submission: Submission) -> models.Model:
    event = _events()(pgh_obj=submission, pgh_label="status", pgh_created_at=submission.published_at)
    for field in event._meta.concrete_fields:
        if not field.name.startswith("pgh_") and field.name != "id":
            setattr(event, field.attname, getattr(submission, field.attname))
    return event


def _events() -> type[models.Model]:
    return apps.get_model("submissions", "StatusEvent")


@contextmanager
def _unchecked() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        try:
            yield
        finally:
            cursor.execute("SET session_replication_role = origin")
            for model in (Checkpoint, Submission, Resource, Evaluation, Score, _events()):
                table, key = model._meta.db_table, model._meta.pk.column
                cursor.execute(
                    "SELECT setval(pg_get_serial_sequence(%s, %s), "  # noqa: S608 - names of the models' own
                    f'COALESCE(MAX("{key}"), 1)) FROM "{table}"',
                    [table, key],
                )
