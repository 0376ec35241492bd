"""Django's changepassword, which also ends the account's API tokens, as every new password does."""

from __future__ import annotations

import getpass
from typing import Any

from django.contrib.auth.management.commands import changepassword

from portal.accounts.models import ApiToken, User


class Command(changepassword.Command):
    def handle(self, *args: Any, **options: Any) -> str | None:
        options["username"] = options["username"] or getpass.getuser()
        said = super().handle(*args, **options)
        ApiToken.revoke_all_of(User.objects.get_by_natural_key(options["username"]))
        return said
