"""No migration holds a large table for longer than a moment: what rewrites or scans one is refused."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Sequence

import pytest
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import connection, migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from tests.upgrade import KEPT

LARGE = {
    "submissions.submission",
    "submissions.statusevent",
    "submissions.checkpoint",
    "submissions.finding",
    "submissions.resource",
    "submissions.declaredscore",
    "runs.evaluation",
    "runs.score",
    "runs.logline",
    "runs.wronganswers",
    "review.decision",
    "transparency.leaf",
    "transparency.treenode",
    "notifications.notification",
    "notifications.delivery",
}
"""Those with rows for every entry, and more."""
_MOMENT = "an index and a look at each row take some 30 ms each for 100,000 rows of 1 kB, five of them 0.15 s"
JUDGED = {
    "control.0001_orders_and_their_record": "gives a right to a group; the tables are its own and empty",
    "submissions.0017_repeated_runs": _MOMENT,
    "runs.0018_transfer_and_leakage": f"{_MOMENT}; the default of a text is a constant",
    "runs.0021_scores_of_kept_rounds": _MOMENT,
    "transparency.0002_audits_in_the_log": _MOMENT,
}
"""Migrations that would be refused, as app.name, each with why it is brief all the same, as measured."""


def problems(name: str, operations: Sequence[Operation], before: ProjectState) -> Iterator[str]:
    """What of a migration's operations would lock a large table for long; `name` is app.name."""
    app, state = name.partition(".")[0], before.clone()
    created = set()
    for operation in operations:
        if isinstance(operation, migrations.RunPython | migrations.RunSQL):
            yield f"{name} runs code of its own: say in JUDGED why it is brief"
        if isinstance(operation, migrations.CreateModel):
            created.add(f"{app}.{operation.name_lower}")
        of = getattr(operation, "model_name_lower", getattr(operation, "name_lower", ""))
        if f"{app}.{of}" in LARGE - created and (problem := _problem(operation, app, state)):
            yield f"{name}: {operation.describe()}: {problem}"
        operation.state_forwards(app, state)


def _problem(operation: Operation, app: str, state: ProjectState) -> str:
    if isinstance(operation, AddIndexConcurrently):
        return ""
    if isinstance(operation, migrations.AddIndex):
        return "builds an index under a lock: AddIndexConcurrently, in a migration with atomic = False"
    if isinstance(operation, migrations.AddConstraint):
        if isinstance(operation.constraint, models.CheckConstraint):
            return "looks at every row under a lock: AddConstraintNotValid, then ValidateConstraint"
        return "builds an index under a lock: a unique index concurrently first"
    if isinstance(operation, migrations.AlterUniqueTogether | migrations.AlterIndexTogether):
        return "builds an index under a lock"
    if isinstance(operation, migrations.AddField):
        return _of_new(operation.field)
    if isinstance(operation, migrations.AlterField):
        old = state.models[app, operation.model_name_lower].fields[operation.name]
        return _of_changed(old, operation.field)
    return ""


def _of_new(field: models.Field) -> str:
    if getattr(field, "generated", False):
        return "computes a column for every row"
    if field.remote_field or field.unique or _indexed(field):
        return "builds an index under a lock: add the column without one, then the index concurrently"
    default = field.db_default if field.has_db_default() else field.default
    if callable(default) and not field.null and default not in (dict, list, str):
        return "a default that is computed may differ by row, and the table is rewritten"
    return ""


def _indexed(field: models.Field) -> bool:
    return bool(getattr(field, "db_index", False))


def _of_changed(old: models.Field, new: models.Field) -> str:
    if old.null and not new.null:
        return "looks at every row under a lock: a check that is not valid at first"
    if (not old.unique and new.unique) or (_indexed(new) and not _indexed(old)):
        return "builds an index under a lock"
    types = [field.db_parameters(connection=connection)["type"] for field in (old, new)]
    longer = isinstance(old, models.CharField) and (
        type(new) is models.TextField
        or (isinstance(new, models.CharField) and (new.max_length or 0) >= (old.max_length or 0))
    )
    return (
        "" if types[0] == types[1] or longer else f"{types[0]} becomes {types[1]}: every row is written anew"
    )


def earlier() -> set[str]:
    """The migrations of the version that the kept site is of: their sites have run them."""
    with tarfile.open(KEPT) as archive:
        name = next(name for name in archive.getnames() if name.endswith("manifest.json"))
        manifest = archive.extractfile(name)
        assert manifest is not None
        return set(json.load(manifest)["migrations"])


def test_no_later_migration_holds_a_large_table() -> None:
    loader = MigrationLoader(None)
    known = earlier()
    own = [
        key for key in loader.disk_migrations if loader.disk_migrations[key].__module__.startswith("portal.")
    ]
    found: list[str] = []
    for key in own:
        name = ".".join(key)
        if name not in known and name not in JUDGED:
            before = loader.project_state([key], at_end=False)
            found += problems(name, loader.disk_migrations[key].operations, before)
    assert not found, "\n".join(found)


def _state() -> ProjectState:
    return MigrationLoader(None).project_state()


@pytest.mark.parametrize(
    ("operation", "said"),
    [
        (migrations.AddIndex("score", models.Index(fields=["data"], name="one")), "AddIndexConcurrently"),
        (AddIndexConcurrently("score", models.Index(fields=["data"], name="one")), ""),
        (migrations.AddField("score", "one", models.TextField(blank=True, default="")), ""),
        (migrations.AddField("score", "one", models.IntegerField(null=True)), ""),
        (migrations.AddField("score", "one", models.IntegerField(unique=True, null=True)), "an index"),
        (migrations.AlterField("score", "tokens", models.FloatField()), "written anew"),
        (migrations.AlterField("score", "benchmark", models.CharField(max_length=99)), ""),
        (migrations.AlterField("score", "benchmark", models.CharField(max_length=9)), "written anew"),
        (migrations.AlterField("score", "value", models.FloatField()), "looks at every row"),
        (
            migrations.AddConstraint("score", models.CheckConstraint(condition=models.Q(n=0), name="one")),
            "AddConstraintNotValid",
        ),
        (migrations.RunSQL("UPDATE runs_score SET n = 1"), "code of its own"),
        (migrations.AddIndex("dataregistration", models.Index(fields=["name"], name="one")), ""),
    ],
)
def test_what_would_hold_a_large_table_is_told(operation: Operation, said: str) -> None:
    found = list(problems("runs.one", [operation], _state()))
    assert [said in one for one in found] == [True] * bool(said), found


def test_each_migration_has_a_way_back() -> None:
    loader = MigrationLoader(None)
    stuck = [
        f"{app}.{name}: {operation.describe()}"
        for (app, name), migration in loader.disk_migrations.items()
        if migration.__module__.startswith("portal.")
        for operation in migration.operations
        if not operation.reversible
    ]
    assert not stuck


def test_the_large_tables_are_tables() -> None:
    assert {".".join(key) for key in _state().models} >= LARGE
