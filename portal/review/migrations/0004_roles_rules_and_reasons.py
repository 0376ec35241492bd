"""Makes the roles of staff, gives them to those who are staff, and fills rules and templates to start from."""

from django.conf import settings
from django.db import migrations

_VIEWED = (
    ("submissions", "submission"),
    ("submissions", "checkpoint"),
    ("submissions", "basemodel"),
    ("submissions", "basemodelrequest"),
    ("runs", "evaluation"),
    ("runs", "baselinerun"),
    ("outages", "outage"),
    ("review", "decision"),
    ("review", "reasontemplate"),
    ("review", "twopersonrule"),
)
# By group: (app, model, what). "decide" is the right of Decision.
_RIGHTS = {
    "Reviewers": [
        *((app, model, "view") for app, model in _VIEWED),
        ("review", "decision", "decide"),
        ("review", "entryrequest", "view"),
        ("review", "entryrequest", "change"),
        ("runs", "baselinerun", "add"),
        ("runs", "baselinerun", "change"),
    ],
    "Editors": [
        *(("review", "reasontemplate", what) for what in ("view", "add", "change", "delete")),
        *(("submissions", "basemodelrequest", what) for what in ("view", "change")),
        ("submissions", "basemodel", "view"),
    ],
    "Operators": [
        *((app, model, "view") for app, model in _VIEWED),
        ("submissions", "basemodel", "change"),
        ("submissions", "basemodelrequest", "change"),
        ("runs", "baselinerun", "add"),
        ("runs", "baselinerun", "change"),
        *(("runs", "dataregistration", what) for what in ("view", "delete")),
        *(("notifications", model, "view") for model in ("webhook", "delivery")),
    ],
}

_TEMPLATES = [
    (
        "changes",
        "Unclear where the training data come from",
        "Please name the training data and how they were divided among the clients: the configuration does "
        "not say it, and readers ask for it first.",
    ),
    (
        "changes",
        "Configuration and adapter do not agree",
        "Configuration and adapter do not agree: [what is said, what was found]. Please mend the one that is "
        "wrong.",
    ),
    (
        "changes",
        "Static section was changed",
        "The configuration's static section differs from the challenge's: [which values]. Please say why, or "
        "train with the challenge's values.",
    ),
    (
        "changes",
        "Costs are missing or implausible",
        "The declared costs do not fit what follows from the adapter and the configuration: [which]. Please "
        "correct them, or say how they were measured.",
    ),
    ("reject", "Adapter of another team", "The adapter is that of submission [number], of another team."),
    (
        "reject",
        "Trained on test items",
        "The model was trained on items of the benchmarks: [how that shows].",
    ),
    (
        "reject",
        "Not trained in a federation",
        "The challenges are for federated fine-tuning; [what shows that this was not].",
    ),
    ("hold", "Waits for an answer of the team", "We asked the team: [question]. The case waits for its answer."),
    ("hold", "Waits for a retraining", "The submission is being retrained here; the case waits for the result."),
    ("disqualify", "Adapter of another team", "The adapter is that of entry [number], of another team."),
    (
        "disqualify",
        "Trained on test items",
        "The model was trained on items of the benchmarks: [how that shows].",
    ),
    (
        "disqualify",
        "Cannot be reproduced",
        "Retrained as its method card says, it is worse by more than chance: [the comparison].",
    ),
    ("reinstate", "The disqualification was wrong", "The disqualification was wrong: [what came out since]."),
]


def _permission(apps, app, model, what):
    types = apps.get_model("contenttypes", "ContentType")
    permissions = apps.get_model("auth", "Permission")
    kind, _ = types.objects.get_or_create(app_label=app, model=model)
    # Django makes them after all migrations, and leaves those alone that are there.
    codename = what if what == "decide" else f"{what}_{model}"
    verbose = apps.get_model(app, model)._meta.verbose_name
    name = "Can decide on submissions" if what == "decide" else f"Can {what} {verbose}"
    return permissions.objects.get_or_create(content_type=kind, codename=codename, defaults={"name": name})[0]


def _fill(apps, schema_editor):
    groups = apps.get_model("auth", "Group").objects
    for name, rights in _RIGHTS.items():
        group, _ = groups.get_or_create(name=name)
        group.permissions.add(*(_permission(apps, *right) for right in rights))
    for action in ("disqualify", "reinstate"):
        apps.get_model("review", "TwoPersonRule").objects.get_or_create(action=action)
    templates = apps.get_model("review", "ReasonTemplate").objects
    for action, title, text in _TEMPLATES:
        templates.get_or_create(action=action, title=title, defaults={"text": text})
    _keep_rights_of_staff(apps)


def _keep_rights_of_staff(apps):
    """Staff saw all submissions and trained baselines; who could change submissions decided on them."""
    user_app, user_model = settings.AUTH_USER_MODEL.split(".")
    users = apps.get_model(user_app, user_model).objects
    groups = apps.get_model("auth", "Group").objects
    decided = _permission(apps, "submissions", "submission", "change")
    for user in users.filter(is_staff=True, is_superuser=False):
        user.groups.add(groups.get(name="Operators"))
        own = user.user_permissions.filter(pk=decided.pk)
        if own.exists() or user.groups.filter(permissions=decided).exists():
            user.groups.add(groups.get(name="Reviewers"))


class Migration(migrations.Migration):
    dependencies = [
        ("review", "0003_desk"),
        ("accounts", "0006_device_sign_ins"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("submissions", "0009_changes_asked_for"),
        ("runs", "0010_fair_queue"),
        ("outages", "0001_initial"),
        ("notifications", "0005_review_events"),
    ]

    # Nobody loses roles by going back: groups stay as they were given.
    operations = [migrations.RunPython(_fill, migrations.RunPython.noop)]
