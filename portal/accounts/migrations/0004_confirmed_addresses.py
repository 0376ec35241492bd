"""From here on an account's address is a confirmed one, and signing in waits for the confirmation.

A site without a mail server asked nobody to confirm: there the addresses count as confirmed, else nobody could
sign in. On other sites accounts lose an address that they never confirmed; it stays the one to be confirmed.
"""

from django.conf import settings
from django.db import migrations
from django.db.models import Exists, OuterRef
from django.db.models.functions import Lower


def settle(apps, schema_editor):
    User = apps.get_model("accounts", "User")
    EmailAddress = apps.get_model("account", "EmailAddress")
    own = EmailAddress.objects.annotate(address=Lower("email")).filter(
        user=OuterRef("pk"), address=Lower(OuterRef("email")), verified=False
    )
    unconfirmed = User.objects.exclude(email="").filter(Exists(own))
    if not settings.EMAIL_FILE_PATH:
        unconfirmed.update(email="")
        return
    for user in unconfirmed.iterator():
        EmailAddress.objects.filter(user=user, email__iexact=user.email).update(verified=True)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_personal_teams"),
        ("account", "0009_emailaddress_unique_primary_email"),
    ]
    operations = [migrations.RunPython(settle, migrations.RunPython.noop)]
