"""A row for every table that has none: what a migration has to get past, even where it says little.

Such a row obeys the table's constraints and types; the triggers, which ask how a row came to be, are off.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.db import connection, models, transaction

MOMENT = datetime(2026, 11, 1, 12, tzinfo=UTC)
_OF_TYPE: list[tuple[type[models.Field[Any, Any]], Any]] = [
    (models.BooleanField, True),
    (models.JSONField, {}),
    (models.BinaryField, b"\1"),
    (ArrayField, ["kept"]),
    (models.DateTimeField, MOMENT),
    (models.DateField, date(2026, 11, 1)),
    (models.DurationField, timedelta(hours=1)),
    (models.FloatField, 0.5),
    (models.DecimalField, "0.50"),
    (models.IntegerField, 1),
    (models.URLField, "https://example.org/kept"),
    (models.EmailField, "kept@example.org"),
    (models.FileField, ""),
    (models.UUIDField, "00000000-0000-4000-8000-000000000001"),
]
# Where a table's own constraints ask for more than its types do.
_ASKED: dict[str, dict[str, Any]] = {
    "submissions.DeclaredScore": {"benchmark": "fiqa"},
    "review.EntryRequest": {"kind": "report"},
}


def fill_empty_tables() -> list[str]:
    """Return the models that got their first row."""
    filled: list[str] = []
    with _without_triggers():
        for model in tables():
            _fill(model, filled)
    return filled


def tables() -> list[type[models.Model]]:
    """The models that have a table."""
    return [m for m in apps.get_models() if m._meta.managed and not m._meta.proxy]


def _fill(model: type[models.Model], filled: list[str]) -> None:
    if model._base_manager.exists():
        return
    row = model()
    asked = _ASKED.get(model._meta.label, {})
    for field in model._meta.concrete_fields:
        if field.name in asked:
            setattr(row, field.attname, asked[field.name])
        elif field.is_relation:
            if not field.null:
                setattr(row, field.attname, _first(field.related_model, filled).pk)
        elif not (field.primary_key and field.has_default()) and _is_unsaid(field, row):
            setattr(row, field.attname, _value(field))
    with transaction.atomic():
        model._base_manager.bulk_create([row])
    filled.append(model._meta.label)


def _first(model: Any, filled: list[str]) -> models.Model:
    _fill(model, filled)
    found: models.Model = model._base_manager.all()[0]
    return found


def _is_unsaid(field: models.Field[Any, Any], row: models.Model) -> bool:
    if isinstance(field, models.AutoField | models.BigAutoField) or field.null or field.has_default():
        return False
    return not field.blank or getattr(row, field.attname) is None


def _value(field: models.Field[Any, Any]) -> Any:
    if field.choices:
        return next(iter(field.flatchoices))[0]
    for kind, value in _OF_TYPE:
        if isinstance(field, kind):
            return value
    return f"kept-{field.name}".replace("_", "-")[: field.max_length]


@contextmanager
def _without_triggers() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        try:
            yield
        finally:
            cursor.execute("SET session_replication_role = origin")
