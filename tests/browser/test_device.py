"""Signing the command line in through a real browser: the code is compared, and it goes on."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.core.cache import cache
from playwright.sync_api import Page, expect

from flowertune.browser_sign_in import Question, sign_in
from flowertune.errors import ClientError
from flowertune.site import Site
from portal.accounts.models import ApiToken
from tests.browser.test_teams import fill_login
from tests.portal import factories

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


class Program:
    """The command line's part, in a thread, whose pauses are over once the person has answered."""

    def __init__(self, url: str) -> None:
        self.asked, self.answered = threading.Event(), threading.Event()
        self.question: Question | None = None
        self.token = self.refusal = ""
        self._url = url
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self.asked.wait(30)

    def end(self) -> None:
        self.answered.set()
        self._thread.join(30)

    def _run(self) -> None:
        with Site(self._url, pause=self._wait) as site:
            try:
                self.token = sign_in(site, self._ask)
            except ClientError as error:
                self.refusal = error.code

    def _wait(self, _seconds: float) -> None:
        self.answered.wait(30)

    def _ask(self, question: Question) -> None:
        self.question = question
        self.asked.set()


def open_page(page: Page, live_server: Any) -> Program:
    cache.clear()
    factories.user("owner")
    program = Program(live_server.url)
    assert program.question
    page.goto(program.question.direct)
    fill_login(page, "owner")
    expect(page.get_by_text(program.question.code)).to_be_visible()
    return program


def test_a_program_is_let_in(page: Page, live_server: Any) -> None:
    program = open_page(page, live_server)
    assert Axe().run(page).response["violations"] == []
    page.get_by_label("read what you may read").focus()
    page.get_by_role("button", name="Sign it in").click()
    expect(page.get_by_text("is signed in and goes on by itself")).to_be_visible()
    program.end()
    assert ApiToken.digest_of(program.token) == ApiToken.objects.get().digest


def test_a_program_is_refused(page: Page, live_server: Any) -> None:
    program = open_page(page, live_server)
    page.get_by_role("button", name="Refuse").click()
    expect(page.get_by_text("The program was refused")).to_be_visible()
    program.end()
    assert (program.token, program.refusal) == ("", "access_denied")
