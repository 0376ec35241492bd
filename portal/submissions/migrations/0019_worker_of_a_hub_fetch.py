"""Which worker has a fetch from the hub in hand, and since when."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("submissions", "0018_energy_above_idle")]

    operations = [
        migrations.AddField(
            model_name="hubfetch",
            name="started_at",
            field=models.DateTimeField(help_text="When that was", null=True),
        ),
        migrations.AddField(
            model_name="hubfetch",
            name="worker",
            field=models.CharField(
                blank=True, db_default="", default="", help_text="That claimed it last", max_length=120
            ),
        ),
    ]
