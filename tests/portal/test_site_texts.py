"""The operator's own pages, and the contact form."""

from __future__ import annotations

import pytest
from django.test import Client

from portal.accounts.models import User
from portal.notifications.mail import message_of
from portal.notifications.models import Delivery
from portal.site_texts.models import SiteText

pytestmark = pytest.mark.django_db
MESSAGE = {"address": "reader@example.org", "subject": "A question", "text": "Where is the data?"}


@pytest.mark.parametrize("page", ["contact", "imprint", "terms", "privacy"])
def test_each_page_has_a_text_to_start_from_and_then_the_operators(page: str) -> None:
    assert "<p>" in Client().get(f"/{page}/").content.decode()
    SiteText.objects.create(page=page, body="Run by *us* <script>alert(1)</script> [x](javascript:alert(1))")
    shown = Client().get(f"/{page}/").content.decode()
    assert "Run by <em>us</em>" in shown
    assert "<script>alert" not in shown and 'href="javascript' not in shown


def test_staff_are_told_that_a_text_is_only_to_start_from(as_reviewer: Client, as_owner: Client) -> None:
    assert "text to start from" in as_reviewer.get("/imprint/").content.decode()
    assert "text to start from" not in as_owner.get("/imprint/").content.decode()
    form = as_reviewer.get("/admin/site_texts/sitetext/add/?page=terms").content.decode()
    assert "What you agree to" in form


def test_the_contact_form_reaches_the_operators(reviewer: User) -> None:
    assert Client().post("/contact/", MESSAGE).status_code == 302
    mail = message_of(Delivery.objects.get(recipient=reviewer))
    assert mail.reply_to == ["reader@example.org"] and "Where is the data?" in mail.body


def test_programs_and_crowds_are_kept_off(reviewer: User) -> None:
    assert Client().post("/contact/", MESSAGE | {"website": "x"}).status_code == 302
    assert not Delivery.objects.exists()
    answers = [Client(REMOTE_ADDR="192.0.2.77").post("/contact/", MESSAGE).status_code for _ in range(6)]
    assert answers == [302] * 5 + [422]


def test_how_long_people_wait_is_public() -> None:
    page = Client().get("/contact/").content.decode()
    assert "Open objections" in page and "none was taken in 90 days" in page
