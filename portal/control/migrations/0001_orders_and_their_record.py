# The tables, and the right to operate for the role of operators.

import django.db.models.deletion
import django.utils.timezone
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models


def _give_operators_the_right(apps, schema_editor):
    types = apps.get_model("contenttypes", "ContentType")
    kind, _ = types.objects.get_or_create(app_label="control", model="act")
    # Django makes permissions after all migrations, and leaves those alone that are there.
    permission, _ = apps.get_model("auth", "Permission").objects.get_or_create(
        content_type=kind, codename="operate", defaults={"name": "Can operate workers and queues"}
    )
    group, _ = apps.get_model("auth", "Group").objects.get_or_create(name="Operators")
    group.permissions.add(permission)


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("contenttypes", "0002_remove_content_type_name"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("review", "0004_roles_rules_and_reasons"),
    ]

    operations = [
        migrations.CreateModel(
            name='Eviction',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('machine', models.CharField(max_length=120)),
                ('repo', models.CharField(max_length=200)),
                ('asked_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('done_at', models.DateTimeField(null=True)),
                ('outcome', models.CharField(blank=True, help_text='What came of it, in words', max_length=200)),
            ],
            options={
                'ordering': ['-pk'],
                'constraints': [models.UniqueConstraint(condition=models.Q(('done_at', None)), fields=('machine', 'repo'), name='eviction_one_at_a_time')],
            },
        ),
        migrations.CreateModel(
            name='Hold',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('worker', 'worker or machine'), ('queue', 'queue')], max_length=6)),
                ('name', models.CharField(max_length=120)),
                ('how', models.CharField(choices=[('drain', 'drained'), ('pause', 'paused')], max_length=5)),
                ('reason', models.TextField()),
                ('since', models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                'ordering': ['kind', 'name'],
                'constraints': [models.UniqueConstraint(fields=('kind', 'name'), name='hold_one_each'), models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='hold_has_reason'), models.CheckConstraint(condition=models.Q(('how__in', ['drain', 'pause'])), name='hold_how_known'), models.CheckConstraint(condition=models.Q(('kind', 'worker'), models.Q(('kind', 'queue'), ('name__in', ['evaluate', 'train', 'fetch'])), _connector='OR'), name='hold_of_something')],
            },
        ),
        migrations.CreateModel(
            name='Maintenance',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('only', models.BooleanField(default=True, editable=False, unique=True)),
                ('reason', models.TextField(help_text='Shown to everybody on every page')),
                ('since', models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('only', True)), name='maintenance_is_one'), models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='maintenance_has_reason')],
            },
        ),
        migrations.CreateModel(
            name='Release',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('only', models.BooleanField(default=True, editable=False, unique=True)),
                ('name', models.CharField(max_length=80)),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('only', True)), name='release_is_one')],
            },
        ),
        migrations.CreateModel(
            name='Act',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('via', models.CharField(choices=[('page', "operator's page"), ('api', 'API'), ('terminal', 'manage.py')], max_length=8)),
                ('what', models.CharField(choices=[('drain', 'drained'), ('pause', 'paused'), ('resume', 'resumed'), ('maintenance_on', 'began maintenance'), ('maintenance_off', 'ended maintenance'), ('requeue', 'put back into the queue'), ('priority', 'changed the priority of'), ('evict', 'asked to remove from the cache')], max_length=15)),
                ('target', models.CharField(help_text='What it was done to, in words', max_length=330)),
                ('reason', models.TextField(blank=True)),
                ('by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-pk'],
                'permissions': [('operate', 'Can operate workers and queues')],
                'constraints': [models.CheckConstraint(condition=models.Q(('what__in', ['resume', 'maintenance_off']), models.Q(('reason', ''), _negated=True), _connector='OR'), name='act_has_reason'), models.CheckConstraint(condition=models.Q(('via', 'terminal'), ('by__isnull', False), _connector='OR'), name='act_is_somebodys')],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='act',
            trigger=pgtrigger.compiler.Trigger(name='act_append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='31e1dd4969579ee0e8b1e7cb450337b48f345e21', operation='UPDATE OR DELETE', pgid='pgtrigger_act_append_only_1e351', table='control_act', when='BEFORE')),
        ),
        migrations.RunPython(_give_operators_the_right, migrations.RunPython.noop),
    ]
