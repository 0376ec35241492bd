"""Who a request comes from, and who acts as staff."""

from __future__ import annotations

from django.contrib.auth.models import Permission
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from portal.accounts.models import User


def signed_in(request: HttpRequest) -> User:
    """The user of a request that `login_required` let through."""
    assert isinstance(request.user, User)
    return request.user


def acts_as_staff(user: object) -> bool:
    """Whether staff's pages and rights are open to `user`; never to somebody who is not signed in."""
    return isinstance(user, User) and user.acts_as_staff


def sees_all(user: object) -> bool:
    """Whether what is not public of all teams is open to `user`: reviewers and operators, not editors."""
    return isinstance(user, User) and user.acts_as_staff and user.has_perm("submissions.view_submission")


def reviewers() -> QuerySet[User]:
    """Everybody with the right to decide on submissions."""
    right = Permission.objects.filter(codename="decide", content_type__app_label="review")
    given = Q(user_permissions__in=right) | Q(groups__permissions__in=right) | Q(is_superuser=True)
    return User.objects.filter(given, is_active=True, is_staff=True).distinct()


def trains_here(user: object) -> bool:
    """Whether `user` starts training runs of this site, and ends and judges them."""
    return isinstance(user, User) and user.acts_as_staff and user.has_perm("runs.add_baselinerun")


def may_submit_references(user: object) -> bool:
    """Whether `user`'s entries may be reference ones, with measured costs and without a quota."""
    return trains_here(user) or (isinstance(user, User) and user.has_perm("submissions.submit_reference"))


def operates_here(user: object) -> bool:
    """Whether `user` tells workers and queues what to do."""
    return isinstance(user, User) and user.acts_as_staff and user.has_perm("control.operate")
