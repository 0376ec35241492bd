"""Runs from before there was a choice of templates trained FinGPT's form of a row, not the public apps'.

What their retraining showed says nothing of the original, so those verdicts are withdrawn; and the cards of the
entries that came of such runs say what was trained, and on which rows.
"""

from typing import Any

import pgtrigger
from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.utils import timezone

REASON = (
    "The retraining wrote its rows in FinGPT's form and learnt the end token, which FlowerTune's public apps "
    "do not do: it was another method than the original's."
)
TRAINED: dict[str, Any] = {
    "template": "fingpt",
    "instruction_columns": ["instruction", "input"],
    "learn_end_token": True,
    "draw_anew": True,
    "group_by_length": True,
}


def withdraw(apps: Apps, _schema_editor: BaseDatabaseSchemaEditor) -> None:
    reproductions = apps.get_model("runs", "Reproduction").objects
    standing = reproductions.filter(verdict__in=["open", "confirmed"]).exclude(run__config__has_key="template")
    standing.update(verdict="withdrawn", reason=REASON, judged_at=timezone.now())


def describe(apps: Apps, _schema_editor: BaseDatabaseSchemaEditor) -> None:
    runs = apps.get_model("runs", "BaselineRun").objects.filter(submission__method_card__isnull=False)
    submissions = apps.get_model("submissions", "Submission").objects
    with pgtrigger.ignore("submissions.Submission:submission_content"):
        for run in runs.exclude(config__has_key="template").select_related("submission"):
            card = run.submission.method_card | TRAINED | {"training_rows": run.config["train_data"]}
            submissions.filter(pk=run.submission_id).update(method_card=card)


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0003_withdrawn_and_undecided_reproductions"),
        ("submissions", "0004_benchmarks_without_migrations"),
    ]

    operations = [
        migrations.RunPython(withdraw, migrations.RunPython.noop),
        migrations.RunPython(describe, migrations.RunPython.noop),
    ]
