"""The main job as a person does it: sign up, submit a real checkpoint, follow it, see its row."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core import mail
from django.core.cache import cache
from playwright.sync_api import Page, expect

from portal.accounts.models import User
from portal.submissions.base_models import register_base_model
from portal.submissions.models import Submission
from tests.portal import factories
from tests.workers.conftest import Start

pytestmark = [pytest.mark.browser, pytest.mark.model, pytest.mark.django_db(transaction=True)]

HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
EVALUATION_MILLISECONDS = 300_000


def sign_up(page: Page, url: str) -> None:
    cache.clear()  # an address is mailed once in three minutes
    page.goto(f"{url}/accounts/signup/")
    page.get_by_label("Username").fill("newcomer")
    page.get_by_label("Email").fill("newcomer@example.org")
    page.get_by_label("Password", exact=True).fill("a long pass phrase")
    page.get_by_label("Password (again)").fill("a long pass phrase")
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("heading", name="Confirm your address")).to_be_visible()
    link = re.search(str(settings.SITE_URL) + r"(/accounts/confirm-email/\S+)", str(mail.outbox[-1].body))
    assert link
    page.goto(url + link[1])
    page.get_by_role("button", name="Confirm it").click()
    expect(page.get_by_role("heading", name="My submissions")).to_be_visible()


def fill_form(page: Page, url: str, files: Path) -> None:
    page.goto(f"{url}/submit/?challenge=finance")
    page.get_by_label("Base model").select_option(label=HUB_ID)
    page.get_by_label("Method").fill("FedAvg on four clients")
    page.get_by_label("adapter_model.safetensors").set_input_files(files / "adapter_model.safetensors")
    page.get_by_label("adapter_config.json").set_input_files(files / "adapter_config.json")
    page.get_by_label("pyproject.toml").set_input_files(files / "pyproject.toml")
    page.get_by_label("Communication (GB)").fill("0.22")
    page.get_by_label("No test item of the benchmarks was trained on").check()


@pytest.mark.slow("a worker evaluates the real base model")
def test_a_real_checkpoint_gets_from_the_form_to_the_board(
    page: Page, live_server: Any, shared: Path, smollm2: Path, start_worker: Start
) -> None:
    register_base_model(hub_id=HUB_ID, folder=smollm2)
    sign_up(page, live_server.url)
    fill_form(page, live_server.url, shared / "checkpoints" / "fed_smollm2")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("heading", name="FedAvg on four clients")).to_be_visible()
    expect(page.get_by_text("next in the queue")).to_be_visible()

    start_worker(
        EVALUATION_DATA=str(shared / "data" / "eval"),
        EVALUATION_LIMIT="6",
        EVALUATION_LEASE_SECONDS="60",
    )
    # The page follows by itself, without a reload.
    expect(page.get_by_text("in review", exact=True)).to_be_visible(timeout=EVALUATION_MILLISECONDS)
    expect(page.get_by_role("row", name="FPB")).to_contain_text("only 6 of 1,212 items")
    submission = Submission.objects.get()
    page.goto(f"{live_server.url}/leaderboard/finance/")
    expect(page.get_by_text("FedAvg on four clients")).to_have_count(0)

    publish(page, live_server.url, submission)
    page.goto(f"{live_server.url}/leaderboard/finance/")
    expect(page.get_by_role("heading", name="Apart from the ranking")).to_be_visible()
    row = page.get_by_role("row", name="FedAvg on four clients")
    expect(row).to_contain_text("unofficial")
    expect(row).to_contain_text("0.22")
    expect(row).to_contain_text("derived")
    row.get_by_role("link", name="FedAvg on four clients").click()
    expect(page.get_by_role("heading", name="FedAvg on four clients")).to_be_visible()
    expect(page.get_by_role("complementary").get_by_text("LoRA, rank 16, α 32")).to_be_visible()


def publish(page: Page, url: str, submission: Submission) -> None:
    """As a reviewer does it, on the desk."""
    factories.user("reviewer", is_staff=True, is_superuser=True)
    context = page.context.browser.new_context()  # type: ignore[union-attr]
    review = context.new_page()
    review.goto(f"{url}/accounts/login/?next=/review/{submission.pk}/")
    review.get_by_label("Login").fill("reviewer")
    review.get_by_label("Password").fill("correct horse")
    review.get_by_role("main").get_by_role("button", name="Sign in").click()
    review.get_by_role("link", name="Publish…").click()
    review.get_by_role("button", name="Publish…").click()
    review.get_by_role("button", name="Publish now").click()
    expect(review.get_by_text("“Publish” is carried out.")).to_be_visible()
    context.close()


def test_a_refused_submission_shows_every_finding_and_keeps_what_was_typed(
    page: Page, live_server: Any, tmp_path: Path
) -> None:
    factories.base_model(HUB_ID)
    sign_up(page, live_server.url)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"PK\x03\x04 a torch pickle in a zip")
    (tmp_path / "adapter_config.json").write_bytes(factories.config_bytes())
    (tmp_path / "pyproject.toml").write_text("[tool.flwr\n")
    fill_form(page, live_server.url, tmp_path)
    page.get_by_role("button", name="Submit").click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("Nothing was stored")
    for place in ("adapter_model.safetensors", "adapter_config.json", "pyproject.toml: line 1"):
        expect(alert).to_contain_text(place)
    expect(page.get_by_label("Method")).to_have_value("FedAvg on four clients")
    assert not Submission.objects.exists()


def test_the_board_works_without_scripts(live_server: Any, browser: Any) -> None:
    factories.published(factories.user("owner"), method="Readable")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{live_server.url}/leaderboard/finance/")
    expect(page.get_by_role("row", name="Readable")).to_contain_text("70.00")
    context.close()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize(
    "path", ["/", "/leaderboard/finance/", "/entries/{}/", "/submit/", "/accounts/login/"]
)
def test_no_page_is_wider_than_its_window(page: Page, live_server: Any, width: int, path: str) -> None:
    owner = factories.user("owner")
    made = factories.published(owner, method="A method with quite a long name, rank 16, α 32")
    sign_in(page, live_server.url, owner)
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(live_server.url + path.format(made.pk))
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def sign_in(page: Page, url: str, user: User) -> None:
    page.goto(f"{url}/accounts/login/")
    page.get_by_label("Login").fill(user.username)
    page.get_by_label("Password").fill("correct horse")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="My submissions")).to_be_visible()
