"""Submitting by one drop: a folder or a zip fills in the form, and its adapter is uploaded."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from portal.submissions.models import Submission
from tests.browser.test_submission import sign_in
from tests.evaluation.test_flower_run import listed, run
from tests.portal import factories

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

UPLOADED = "The upload is complete."


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A Flower app as it lies on somebody's disk, with much that is no part of a submission."""
    folder = tmp_path / "my app ü"
    files = {
        "pyproject.toml": factories.pyproject("finance"),
        "flower/server_app.py": b"from flwr.server.strategy import FedAvg\nstrategy = FedAvg()\n",
        ".git/pyproject.toml": b"no",
        "results/optimizer.pt": b"0" * 100_000,
        "results/peft_10/adapter_config.json": factories.config_bytes(),
        "results/peft_10/adapter_model.safetensors": factories.adapter_bytes(),
        "results/peft_9/adapter_config.json": factories.config_bytes(),
        "results/peft_9/adapter_model.safetensors": factories.adapter_bytes(1),
        "flwr_run.json": listed(run()),
        "results/training.json": json.dumps({"wall_seconds": 7200}).encode(),
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def form(page: Page, live_server: Any) -> Page:
    factories.base_model()
    sign_in(page, live_server.url, factories.user("owner"))
    page.goto(f"{live_server.url}/submit/")
    return page


def expect_filled(page: Page) -> None:
    expect(page.locator("#id_challenge")).to_have_value("finance")
    expect(page.locator("#id_base_model")).not_to_have_value("")
    expect(page.locator("#id_method")).to_have_value("FedAvg, rank 4")
    expect(page.locator("#id_training_hours")).to_have_value("2")
    expect(page.get_by_text("From your files: training.json")).to_be_visible()


def test_a_chosen_folder_is_submitted_with_a_tick_and_one_more_press(form: Page, app: Path) -> None:
    form.locator("#drop_folder").set_input_files(app)
    expect(form.locator(".drop [role=status]")).to_contain_text("No error so far.")
    expect_filled(form)
    expect(form.locator("[data-upload] [role=status]")).to_have_text(UPLOADED)
    expect(form.locator("#drop_checkpoint")).to_have_value("my app ü/results/peft_10")
    assert Axe().run(form).response["violations"] == []
    form.get_by_label("No test item of the benchmarks was trained on").check()
    form.get_by_role("button", name="Submit", exact=True).click()
    form.wait_for_url("**/submissions/*/")
    made = Submission.objects.get()
    assert made.status == "queued" and made.flower_run_text


def test_a_zip_is_read_like_a_folder_and_a_choice_changes_the_files(form: Page, app: Path) -> None:
    path = app.parent / "app.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for file in app.rglob("*"):
            made.write(file, file.relative_to(app.parent))
    form.locator("#drop_zip").set_input_files(path)
    expect(form.locator(".drop [role=status]")).to_contain_text("No error so far.")
    expect_filled(form)
    form.locator("#drop_checkpoint").select_option("my app ü/results/peft_9")
    expect(form.locator(".drop [role=status]")).to_contain_text("peft_9/adapter_model.safetensors")
    expect(form.locator("[data-upload] [role=status]")).to_have_text(UPLOADED)


def test_what_was_typed_stays_and_errors_show_before_anything_is_sent(form: Page, app: Path) -> None:
    form.locator("#id_method").fill("My own words")
    (app / "results/peft_10/adapter_config.json").write_bytes(b"{")
    form.locator("#drop_folder").set_input_files(app)
    expect(form.locator(".drop [data-severity=error]").first).to_be_visible()
    expect(form.locator("#id_method")).to_have_value("My own words")
    assert not Submission.objects.exists()


def test_a_zip_that_leads_elsewhere_or_is_none_is_refused(form: Page, tmp_path: Path) -> None:
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("../../pyproject.toml", "x")
    form.locator("#drop_zip").set_input_files(path)
    expect(form.locator(".drop [role=alert]")).to_contain_text("leads out of its folder")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as made:
        made.writestr("app/pyproject.toml", "x")
    form.locator("#drop_zip").set_input_files(path)
    expect(form.locator(".drop [role=alert]")).to_contain_text("browsers cannot read")
    path.write_bytes(b"none")
    form.locator("#drop_zip").set_input_files(path)
    expect(form.locator(".drop [role=alert]")).to_contain_text("cannot be read as a zip")


def test_a_dropped_zip_and_a_pasted_address_are_taken(form: Page, app: Path) -> None:
    form.evaluate(
        """() => {
          const transfer = new DataTransfer();
          transfer.items.add(new File(["none"], "app.zip"));
          const drop = new DragEvent("drop", { dataTransfer: transfer, bubbles: true });
          document.querySelector(".drop").dispatchEvent(drop);
        }"""
    )
    expect(form.locator(".drop [role=alert]")).to_contain_text("app.zip")
    form.locator("#drop_hub").fill("organisation/name")
    expect(form.locator("#id_hub_repository")).to_have_value("organisation/name")


def test_nothing_of_the_folder_before_stays_in_the_form(form: Page, app: Path) -> None:
    form.locator("#drop_folder").set_input_files(app)
    expect(form.locator("[data-upload] [role=status]")).to_have_text(UPLOADED)
    other = app.parent / "<img src=x onerror=alert(1)> & 'other'"
    other.mkdir()
    (other / "pyproject.toml").write_bytes(factories.pyproject("medical"))
    form.locator("#id_method").fill("typed")
    form.locator("#drop_folder").set_input_files(other)
    expect(form.locator(".drop [role=status]")).to_contain_text("error")
    expect(form.locator("#id_challenge")).to_have_value("medical")
    expect(form.locator("#id_training_hours")).to_have_value("")
    expect(form.locator("#id_method")).to_have_value("typed")
    files = form.locator("#id_adapter_model, #id_adapter_config").evaluate_all(
        "fields => fields.flatMap(({files}) => [...files])"
    )
    assert files == [] and form.locator("[data-upload] input[type=hidden]").input_value() == ""
    assert form.locator(".drop img, #id_pyproject ~ img").count() == 0


def test_who_is_signed_out_meanwhile_is_told(form: Page, app: Path) -> None:
    form.context.clear_cookies(name="sessionid")
    form.locator("#drop_folder").set_input_files(app)
    expect(form.locator(".drop [role=alert]")).to_contain_text("You are signed out.")
