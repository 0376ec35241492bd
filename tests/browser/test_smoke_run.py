"""A smoke run as its team sees it: asked for in the form, followed live, and gone on with by a button."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from portal.accounts.models import User
from portal.runs import logs
from portal.runs.logs import Level, Line
from portal.runs.models import Evaluation
from portal.submissions.models import Submission
from tests.portal import factories

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

ANSWER = {
    "prompt": "What is the sentiment of this news?\nSales rise. ",
    "completion": "a" * 200,
    "prediction": "",
    "target": "positive",
    "correct": False,
}


@pytest.fixture
def owner(transactional_db: None) -> User:
    return factories.user("owner")


def sign_in(page: Page, url: str) -> None:
    page.goto(f"{url}/accounts/login/")
    page.get_by_label("Login").fill("owner")
    page.get_by_label("Password").fill("correct horse")
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="My submissions")).to_be_visible()


def submit(page: Page, url: str, folder: Path) -> None:
    for name, sent in zip(
        ("adapter_model.safetensors", "adapter_config.json", "pyproject.toml"),
        factories.uploads().values(),
        strict=True,
    ):
        (folder / name).write_bytes(sent.read())
    page.goto(f"{url}/submit/?challenge=finance")
    page.get_by_label("Base model").select_option(index=1)
    page.get_by_label("Method").fill("FedAvg")
    for name in ("adapter_model.safetensors", "adapter_config.json", "pyproject.toml"):
        page.get_by_label(name).set_input_files(folder / name)
    page.get_by_label("No test item of the benchmarks was trained on").check()
    page.get_by_label("Smoke run first").check()
    page.get_by_role("button", name="Submit").click()


@pytest.mark.slow("the page asks again every two seconds")
def test_a_smoke_run_is_asked_for_followed_and_gone_on_with(
    page: Page, browser: Browser, live_server: Any, owner: User, tmp_path: Path
) -> None:
    factories.base_model()
    sign_in(page, live_server.url)
    submit(page, live_server.url, tmp_path)
    expect(page.get_by_role("heading", name="Smoke run")).to_be_visible()
    expect(page.get_by_text("A smoke run under protocol 1 is queued.")).to_be_visible()

    made = Submission.objects.get()
    logs.add(Evaluation.objects.get(), Line("memory ran out: batches are halved", Level.WARNING))
    expect(page.get_by_text("warning memory ran out: batches are halved")).to_be_visible()
    factories.smoke_run(made, (json.dumps(ANSWER) + "\n").encode() * 20)
    # By itself, without a reload.
    expect(page.get_by_text("Your team decides:")).to_be_visible()
    expect(page.get_by_role("row", name="FPB").first).to_contain_text("12 of 20")
    expect(page.get_by_text("not a score")).to_be_visible()

    for path in ("", "smoke-run/", "log/"):
        for scheme, width in (("light", 1440), ("dark", 390)):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.set_viewport_size({"width": width, "height": 900})
            page.goto(live_server.url + made.get_absolute_url() + path)
            page.evaluate("document.querySelectorAll('details:not(.menu)').forEach(part => part.open = true)")
            found = Axe().run(page, options={"resultTypes": ["violations"]})
            assert found.violations_count == 0, f"{path}: {found.generate_report()}"
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (path, width)

    page.goto(live_server.url + made.get_absolute_url())
    page.get_by_role("link", name="See every answer").click()
    expect(page.get_by_text("20 could not be read").first).to_be_visible()
    page.go_back()
    page.get_by_role("button", name="Evaluate in full").click()
    expect(page.get_by_text("It is in the queue for its evaluation in full.")).to_be_visible()
    expect(page.get_by_text("An evaluation in full under protocol 1 is queued.")).to_be_visible()
    made.refresh_from_db()
    assert made.status == "queued"
