
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('runs', '0009_waits_for_outages'),
        ('submissions', '0006_base_model_names_and_requests'),
    ]

    operations = [
        migrations.CreateModel(
            name='WorkerPresence',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=120, unique=True)),
                ('seen_at', models.DateTimeField()),
                ('leaves', models.JSONField(default=list)),
            ],
            options={
                'ordering': ['name'],
            },
        ),
        migrations.RemoveIndex(
            model_name='evaluation',
            name='evaluation_queue',
        ),
        migrations.AddField(
            model_name='evaluation',
            name='round_began_at',
            field=models.DateTimeField(editable=False, help_text='Of the round of turns that it was claimed in', null=True),
        ),
        migrations.AlterField(
            model_name='evaluation',
            name='priority',
            field=models.SmallIntegerField(default=0, help_text="Above 0: staff's wish, takes nobody's turn"),
        ),
        migrations.AddIndex(
            model_name='evaluation',
            index=models.Index(condition=models.Q(('status', 'queued')), fields=['queued_at'], name='evaluation_queue'),
        ),
        migrations.AddIndex(
            model_name='evaluation',
            index=models.Index(fields=['started_at'], name='evaluation_started'),
        ),
    ]
