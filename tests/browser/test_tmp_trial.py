from __future__ import annotations
import math, time
from typing import Any
import pytest
from playwright.sync_api import Page, expect
from portal.review.models import Decision
from portal.review.resemblance.search import run as find_resemblances
from portal.runs.ngrams import Overlap, Share
from portal.submissions.models import Submission
from portal.notifications.mail import message_of
from portal.notifications.models import Delivery
from portal.review import digest
from tests.browser.test_review_desk import CHANGED, press, sign_in
from tests.portal import factories
from tests.evaluation.made_updates import file_of, made, noised, scaled

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_ten(page: Page, live_server: Any) -> None:
    owner, other = factories.user("owner"), factories.user("original")
    first = factories.published(other, method="The original", correct=60)
    factories.user("second", is_staff=True, is_superuser=True)
    changed = factories.files(factories.pyproject(static=CHANGED))
    found = Overlap(rows=1200, ngrams=9000, commitment="c" * 64, shares=(Share("fpb", 31, 40, 50, "d"),))
    suspicious = factories.evaluated(owner, method="Too good", correct=62, files=changed, overlap=found)
    for number in range(9):
        factories.evaluated(
            factories.user(f"team{number}"),
            method=f"Honest {number}",
            correct=50 + number,
            files=factories.files(adapter=factories.adapter_bytes(number + 5)),
        )
    find_resemblances(until=math.inf)
    digest.send()
    for d in Delivery.objects.filter(recipient__username="reviewer", notification__event="review.waiting"):
        m = message_of(d)
        print("MAIL", m.subject, "\n", m.body[:1500])
    sign_in(page, live_server.url)
    page.set_viewport_size({"width": 1440, "height": 900})
    page.screenshot(path="/tmp/B_queue.png", full_page=True)
    start = time.time()
    keys = 0

    def key(k):
        nonlocal keys
        keys += 1
        press(page, k)

    key("j")
    key("o")
    expect(page.get_by_role("heading", name="Too good")).to_be_visible()
    page.screenshot(path="/tmp/B_case.png", full_page=True)
    page.set_viewport_size({"width": 390, "height": 900})
    page.emulate_media(color_scheme="dark")
    page.locator("#training-data").screenshot(path="/tmp/B_case390.png")
    print("OVERFLOW", page.evaluate("document.documentElement.scrollWidth"))
    page.set_viewport_size({"width": 1440, "height": 900})
    page.emulate_media(color_scheme="light")
    key("r")
    expect(page.get_by_label("Reason")).to_be_focused()
    page.keyboard.type("The adapter is that of entry 1 and the static section was changed.")
    key("Tab")
    key("Enter")
    expect(page.get_by_text("“Reject” is carried out.")).to_be_visible()
    for number in range(9):
        key("n")
        expect(page.get_by_role("heading", name=f"Honest {number}")).to_be_visible()
        key("p")
        expect(page.get_by_role("heading", name="Publish", exact=True)).to_be_visible()
        key("Enter")
        expect(page.get_by_role("heading", name="Publish this for everybody?")).to_be_visible()
        key("y")
        expect(page.get_by_text("“Publish” is carried out.")).to_be_visible()
    print("KEYS", keys, "SECONDS", round(time.time() - start, 1))
    print("STATES", list(Submission.objects.values_list("method", "status")))
