"""What is locked holds up who needs it, and nobody else: teams, users, the work of a lost machine."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from portal.accounts.models import Membership, Team, User, personal_team
from portal.intake import services as intake
from portal.runs import claims
from portal.runs import services as runs
from portal.runs.models import Evaluation
from portal.submissions.models import Submission
from tests.portal import factories

pytestmark = pytest.mark.django_db(transaction=True)


def elsewhere(write: Callable[[], object]) -> None:
    """In another connection, which waits for locks for a moment only; constraints are asked at its commit."""

    def written() -> None:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '1s'")
                write()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(written).result()


def test_a_team_that_sends_holds_up_its_other_sending_and_no_row_that_names_it(owner: User) -> None:
    team, other, model = personal_team(owner), factories.user("other"), factories.base_model()
    row = {"team": team, "submitter": other, "challenge": "finance", "base_model": model, "method": "m"}
    with transaction.atomic():
        intake._lock(team)
        elsewhere(lambda: Submission.objects.create(**row))
        with pytest.raises(OperationalError, match="lock timeout"):
            elsewhere(lambda: intake._lock(team))


def test_a_user_whose_team_is_looked_up_is_named_meanwhile(owner: User) -> None:
    team = Team.objects.create(name="another")
    with transaction.atomic():
        personal_team(owner)
        elsewhere(lambda: Membership.objects.create(team=team, user=owner, role=Membership.Role.MEMBER))


def test_work_that_a_lost_machine_still_has_locked_does_not_hold_up_the_recovery_of_the_rest(
    owner: User,
) -> None:
    for _ in range(2):
        factories.submission(owner)
    first, second = runs.claim(worker="lost:1"), runs.claim(worker="lost:2")
    assert first and second
    Evaluation.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    with transaction.atomic():
        claims.lock(first)
        elsewhere(runs.release_expired)
    status = dict(Evaluation.objects.values_list("pk", "status"))
    assert status == {first.pk: "running", second.pk: "queued"}
    assert runs.release_expired() == 1
