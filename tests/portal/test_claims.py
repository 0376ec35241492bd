"""An entry taken over from another board is claimed by its team."""

from __future__ import annotations

import pytest
from django.test import Client

from portal.accounts.models import User, personal_team
from portal.intake.board_import import import_rows, read_board
from portal.notifications.models import Delivery
from portal.review import entry_requests
from portal.review.models import EntryRequest
from portal.submissions.models import Submission
from tests.portal import factories

pytestmark = pytest.mark.django_db
REASON = "Our pull request of March brought it there."


@pytest.fixture
def imported() -> Submission:
    lines = [
        "challenge,rank,team,base_model,communication_gb,score_1,score_2,score_3,score_4,date",
        "finance,7,Example team,Example-7B,2.9,60.00,60.00,60.00,,14.01.26",
    ]
    import_rows(read_board(lines), source="https://board.example/")
    return Submission.objects.get(kind=Submission.Kind.IMPORTED)


def test_a_claim_is_told_to_reviewers_and_its_state_to_who_asked(
    as_owner: Client, owner: User, reviewer: User, imported: Submission
) -> None:
    page = f"/entries/{imported.pk}/claim/"
    assert "https://board.example/" in as_owner.get(page).content.decode() and imported.source_place == 7
    answer = as_owner.post(page, {"team": personal_team(owner).pk, "reason": REASON})
    assert answer.status_code == 302
    claim = EntryRequest.objects.get()
    assert Delivery.objects.filter(recipient=reviewer).count() == 1
    assert "waiting for the reviewers" in as_owner.get(page).content.decode()
    again = as_owner.post(page, {"team": personal_team(owner).pk, "reason": REASON})
    assert again.status_code == 422 and "claimed this entry already" in again.content.decode()
    entry_requests.answer(claim, reviewer=reviewer, accept=True, text="Welcome.")
    assert "Welcome." in as_owner.get(page).content.decode()
    with pytest.raises(entry_requests.RequestRefused):
        entry_requests.answer(claim, reviewer=reviewer, accept=False)


def test_only_entries_from_elsewhere_are_claimed_and_only_by_people(client: Client, as_owner: Client) -> None:
    own = factories.published(User.objects.get(username="owner"))
    assert as_owner.get(f"/entries/{own.pk}/claim/").status_code == 404
    assert Client().get(f"/entries/{own.pk}/claim/").status_code == 302
