"""Protocol 1 asks for fp4 computed in fp32. What was evaluated in nf4 keeps its scores, which are not official."""

from typing import Any

import pgtrigger
from django.db import migrations
from django.db.models import Q

REASON = "the precision is nf4; protocol 1 asks for fp4"


def withdraw(apps: Any, schema_editor: Any) -> None:
    """Also of evaluations that are under way: the benchmarks that are left will be evaluated in fp4."""
    under_way = Q(evaluation__status__in=["queued", "running"]) & ~Q(evaluation__submission__challenge="code")
    in_nf4 = Q(evaluation__provenance__precision="nf4") | under_way
    scores = apps.get_model("runs", "Score").objects.filter(in_nf4, evaluation__protocol=1, official=True)
    with pgtrigger.ignore("runs.Score:score_immutable"):
        scores.update(official=False, unofficial_reasons=[REASON])


class Migration(migrations.Migration):
    dependencies = [("runs", "0006_protocols_side_by_side")]
    operations = [migrations.RunPython(withdraw, migrations.RunPython.noop)]
