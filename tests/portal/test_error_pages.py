"""Pages of what is not there or not for everybody lead on."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.portal import factories

pytestmark = pytest.mark.django_db


def test_an_unknown_address_is_answered_with_the_sites_navigation() -> None:
    answer = Client().get("/leaderboard/nothing/here/")
    page = answer.content.decode()
    assert answer.status_code == 404
    assert "There is no such page" in page
    assert 'id="site-nav"' in page and 'href="/accounts/login/"' in page


def test_a_page_of_the_staff_is_none_to_others_who_stay_signed_in() -> None:
    client = Client()
    client.force_login(factories.user("somebody"))
    answer = client.get("/baselines/new/")
    assert answer.status_code == 404
    assert "somebody" in answer.content.decode()
