"""The roles of staff: groups with the least rights that their work needs, and giving them to somebody."""

from __future__ import annotations

from enum import StrEnum

from django.contrib.auth.models import Group
from django.db import transaction

from portal.accounts.models import User


class Role(StrEnum):
    """The values are the groups' names, which a migration of portal.review makes."""

    REVIEWER = "Reviewers"
    EDITOR = "Editors"
    OPERATOR = "Operators"

    @property
    def word(self) -> str:
        return self.name.lower()


class UnknownRole(Exception):
    """There is no such role, or its group was deleted; the text says so."""


def role_of(word: str) -> Role:
    """Raises UnknownRole."""
    found = next((role for role in Role if role.word == word), None)
    if found is None:
        raise UnknownRole(f"There is no role {word}; there are: {', '.join(role.word for role in Role)}.")
    return found


def roles_of(user: User) -> list[Role]:
    names = set(user.groups.values_list("name", flat=True))
    return [role for role in Role if role.value in names]


@transaction.atomic
def give(user: User, role: Role) -> None:
    """Make the user staff with that role. Raises UnknownRole where the group is not there."""
    group = Group.objects.filter(name=role.value).first()
    if group is None:
        raise UnknownRole(f"The group {role.value} is not there. Run manage.py migrate, or make it anew.")
    user.groups.add(group)
    User.objects.filter(pk=user.pk).update(is_staff=True)


@transaction.atomic
def take(user: User, role: Role) -> None:
    """Take a role away; who has none left and is no superuser is staff no more."""
    user.groups.remove(*Group.objects.filter(name=role.value))
    if not roles_of(user) and not user.is_superuser:
        User.objects.filter(pk=user.pk).update(is_staff=False)
