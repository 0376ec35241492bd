"""How large a score's file of single answers is; of those that are there it stays unknown."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("runs", "0023_energy_above_idle")]

    operations = [
        migrations.AddField(
            model_name="score",
            name="items_bytes",
            field=models.BigIntegerField(
                editable=False, help_text="Size of that file; not known of early ones", null=True
            ),
        ),
    ]
