"""An index that has the sizes of all files of single answers."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("runs", "0024_size_of_single_answers")]

    operations = [
        AddIndexConcurrently(
            model_name="score",
            index=models.Index(
                condition=models.Q(("items", ""), _negated=True),
                fields=["items_bytes"],
                name="score_items_bytes",
            ),
        ),
    ]
