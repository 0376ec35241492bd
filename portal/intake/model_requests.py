"""Asking the operators for a base model that is on no list."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from portal.accounts.models import User, personal_team
from portal.notifications.services import base_model_requested
from portal.submissions.base_models import listed
from portal.submissions.models import BaseModelRequest

MOST_A_DAY = 3
"""Requests of a user: each sends mail."""


class RequestRefused(Exception):
    """The request is not taken; the text says to the user why."""


@transaction.atomic
def ask(*, user: User, hub_id: str, reason: str) -> BaseModelRequest:
    """Put a wish on record and tell the operators. Raises RequestRefused."""
    User.objects.select_for_update(no_key=True).get(
        pk=user.pk
    )  # one after the other, so that none slips past the limit
    known = listed(hub_id)
    if known is not None and known.active:
        raise RequestRefused(f"{known.hub_id} is on the list already: choose it in the form.")
    own = BaseModelRequest.objects.filter(user=user)
    if own.filter(hub_id__iexact=hub_id, is_open=True).exists():
        raise RequestRefused(f"You asked for {hub_id} already; the operators have not answered yet.")
    if own.filter(created_at__gt=timezone.now() - timedelta(days=1)).count() >= MOST_A_DAY:
        raise RequestRefused(
            f"You asked for {MOST_A_DAY} base models today, which is the limit. Ask tomorrow."
        )
    request = BaseModelRequest.objects.create(user=user, hub_id=hub_id, reason=reason)
    base_model_requested(request, personal_team(user))
    return request
