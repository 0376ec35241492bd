from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('runs', '0007_nf4_is_not_official'),
    ]

    operations = [
        migrations.AddField(
            model_name='score',
            name='energy_joules',
            field=models.FloatField(help_text='What the accelerators used while generating, where a meter told', null=True),
        ),
        migrations.AddField(
            model_name='score',
            name='tokens_per_second',
            field=models.FloatField(help_text='Tokens of prompts and answers for each second of generating', null=True),
        ),
    ]
