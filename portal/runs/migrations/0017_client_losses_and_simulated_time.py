from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("runs", "0016_dropped_answers")]

    operations = [
        migrations.AddField(
            model_name="roundmetric",
            name="client_losses",
            field=models.JSONField(
                default=list,
                help_text="client and loss on its own held-out rows, by the adapter as it has it",
            ),
        ),
        migrations.AddField(
            model_name="roundmetric",
            name="simulated_time",
            field=models.FloatField(
                help_text="Of the round in steps of a client of speed 1, where clients have speeds", null=True
            ),
        ),
    ]
