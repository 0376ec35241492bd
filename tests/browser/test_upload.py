"""The upload of an adapter in the browser: progress, pause, resume, cancel, and the form that waits."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from portal.uploads.models import Upload
from tests.browser.test_submission import sign_in
from tests.portal import factories
from tests.workers.conftest import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

MEBIBYTE = 1024**2
CONTENT = hashlib.sha512(b"adapter").digest() * (24 * MEBIBYTE // 64)


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    path = tmp_path / "adapter_model.safetensors"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def form(page: Page, live_server: Any) -> Page:
    """The submission form, in which somebody is about to choose a file."""
    factories.base_model()
    sign_in(page, live_server.url, factories.user("owner"))
    page.goto(f"{live_server.url}/submit/?challenge=finance")
    return page


Limit = Callable[[float], None]


@pytest.fixture
def limit(form: Page, context: BrowserContext) -> Limit:
    """Limit what the page sends to so many bytes a second; -1 is no limit."""
    network = context.new_cdp_session(form)

    def limit(rate: float) -> None:
        network.send(
            "Network.emulateNetworkConditions",
            {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": rate},
        )

    return limit


def choose(page: Page, adapter: Path) -> None:
    page.locator("#id_adapter_model").set_input_files(adapter)


def expect_progress(page: Page) -> None:
    expect(page.locator(".progress .caption")).to_contain_text(re.compile(r"[1-9][\d.]* MB of 24 MB"))


def test_a_chosen_file_is_uploaded_at_once_and_not_sent_twice(form: Page, adapter: Path) -> None:
    choose(form, adapter)
    expect(form.get_by_role("status")).to_have_text("The upload is complete.")
    upload = Upload.objects.get()
    assert upload.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert form.locator("input[name=adapter_upload]").input_value() == str(upload.pk)
    assert form.locator("input[name=adapter_model]").count() == 0
    form.get_by_role("button", name="Remove the upload").click()
    expect(form.locator("input[name=adapter_model]")).to_be_focused()
    expect(form.get_by_role("status")).to_have_text("The upload is cancelled.")
    assert form.locator("input[name=adapter_upload]").input_value() == ""
    expect(form.get_by_role("progressbar")).to_have_count(0)
    wait_until(lambda: not Upload.objects.exists(), "the server's part in the removal")


def test_it_pauses_and_goes_on(form: Page, adapter: Path, limit: Limit) -> None:
    limit(4 * MEBIBYTE)
    choose(form, adapter)
    expect_progress(form)
    expect(form.locator(".progress .caption")).to_contain_text("MB/s")
    form.get_by_role("button", name="Pause").press("Enter")
    expect(form.get_by_role("status")).to_have_text("The upload is paused.")
    expect(form.get_by_role("button", name="Resume")).to_be_focused()
    form.get_by_role("button", name="Submit").click()
    expect(form.get_by_role("status")).to_have_text("The upload is not complete. Resume or cancel it first.")
    limit(-1)
    form.get_by_role("button", name="Resume").press("Enter")
    expect(form.get_by_role("status")).to_have_text("The upload is complete.")
    assert Upload.objects.get().sha256 == hashlib.sha256(CONTENT).hexdigest()


def test_it_goes_on_after_a_reload_with_the_same_file(form: Page, adapter: Path, limit: Limit) -> None:
    limit(4 * MEBIBYTE)
    choose(form, adapter)
    expect_progress(form)
    form.on("dialog", lambda dialog: dialog.accept())
    form.reload()
    expect(
        form.get_by_text(re.compile(r"of 24 MB of adapter_model.safetensors were uploaded before"))
    ).to_be_visible()
    limit(-1)
    choose(form, adapter)
    expect(form.get_by_role("status")).to_have_text("The upload is complete.")
    upload = Upload.objects.get()  # the same one
    assert upload.sha256 == hashlib.sha256(CONTENT).hexdigest()
    form.reload()
    form.get_by_role("button", name="Use it").click()
    assert form.locator("input[name=adapter_upload]").input_value() == str(upload.pk)
    form.get_by_role("button", name="Remove the upload").click()
    expect(form.get_by_role("status")).to_have_text("The upload is cancelled.")


def test_another_file_of_the_same_name_size_and_date_starts_anew(
    form: Page, adapter: Path, limit: Limit
) -> None:
    limit(8 * MEBIBYTE)
    choose(form, adapter)
    expect(form.locator(".progress .caption")).to_contain_text(re.compile(r"(9|1\d|2\d)(\.\d)? MB of 24 MB"))
    form.on("dialog", lambda dialog: dialog.accept())
    form.reload()
    other = hashlib.sha512(b"another adapter").digest() * (24 * MEBIBYTE // 64)
    date = adapter.stat().st_mtime
    adapter.write_bytes(other)
    os.utime(adapter, (date, date))
    limit(-1)
    choose(form, adapter)
    expect(form.get_by_role("status")).to_have_text("The upload is complete.")
    chosen = Upload.objects.get(pk=form.locator("input[name=adapter_upload]").input_value())
    assert chosen.sha256 == hashlib.sha256(other).hexdigest()
    assert Upload.objects.count() == 2, "the first one is nobody's to throw away but its owner's"


def test_what_arrived_otherwise_than_chosen_is_not_taken(form: Page, adapter: Path) -> None:
    def change(route: Route) -> None:
        answer = route.fetch()
        pieces = ["0" * 64, *answer.json()["pieces"][1:]]
        route.fulfill(response=answer, json={**answer.json(), "pieces": pieces})

    form.route(
        re.compile(r"/api/v1/uploads/[0-9a-f-]+/$"),
        lambda route: change(route) if route.request.method == "GET" else route.continue_(),
    )
    choose(form, adapter)
    expect(form.get_by_role("status")).to_contain_text("is not the file that you chose")
    assert form.locator("input[name=adapter_upload]").input_value() == ""
    wait_until(lambda: not Upload.objects.exists(), "the server's part in the removal")


def test_cancelling_leaves_nothing(form: Page, adapter: Path, limit: Limit) -> None:
    limit(4 * MEBIBYTE)
    choose(form, adapter)
    expect_progress(form)
    with form.expect_response(lambda answer: answer.request.method == "DELETE") as answered:
        form.get_by_role("button", name="Cancel the upload").click()
    assert answered.value.status == 204
    assert not Upload.objects.exists()
    assert form.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('tus::')).length") == 0


def test_the_form_waits_for_the_upload(form: Page, tmp_path: Path, limit: Limit) -> None:
    adapter = tmp_path / "adapter_model.safetensors"
    adapter.write_bytes(factories.adapter_bytes())
    for name, content in (
        ("adapter_config.json", factories.config_bytes()),
        ("pyproject.toml", factories.PYPROJECT),
    ):
        (tmp_path / name).write_bytes(content)
        form.get_by_label(name).set_input_files(tmp_path / name)
    form.get_by_label("Base model").select_option(index=1)
    form.get_by_label("Method").fill("Uploaded")
    limit(200)
    choose(form, adapter)
    form.get_by_role("button", name="Save as a draft").click()
    expect(form.get_by_role("status")).to_have_text("The form is sent as soon as the upload is complete.")
    limit(-1)
    expect(form.get_by_role("heading", name="Uploaded")).to_be_visible()
    upload = Upload.objects.get()
    assert upload.consumed_at


def test_a_refusal_is_shown_in_the_servers_words(form: Page, adapter: Path, settings: Any) -> None:
    settings.SUBMISSION_MAX_BYTES = MEBIBYTE
    choose(form, adapter)
    expect(form.get_by_role("status")).to_contain_text("The file is over the limit of 1.0")
    form.get_by_role("button", name="Cancel the upload").click()
    expect(form.locator("input[name=adapter_model]")).to_be_visible()


def test_a_broken_connection_is_mended_by_itself(form: Page, adapter: Path) -> None:
    broken: list[str] = []

    def break_some(route: Route) -> None:
        if route.request.method == "PATCH" and len(broken) < 2:
            broken.append(route.request.url)
            route.abort("connectionreset")
        else:
            route.continue_()

    form.route("**/api/v1/uploads/*/", break_some)
    choose(form, adapter)
    expect(form.get_by_role("status")).to_contain_text("The connection is broken. Trying again.")
    expect(form.get_by_role("status")).to_have_text("The upload is complete.", timeout=20_000)
    assert Upload.objects.get().sha256 == hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_progress_fits_the_page(form: Page, adapter: Path, limit: Limit, width: int, scheme: Any) -> None:
    form.set_viewport_size({"width": width, "height": 900})
    form.emulate_media(color_scheme=scheme)
    limit(4 * MEBIBYTE)
    choose(form, adapter)
    expect_progress(form)
    assert form.evaluate("document.documentElement.scrollWidth") <= width
    form.get_by_role("button", name="Cancel the upload").click()
    expect(form.get_by_role("status")).to_have_text("The upload is cancelled.")


def test_an_empty_file_has_its_own_finding(form: Page, tmp_path: Path) -> None:
    path = tmp_path / "adapter_model.safetensors"
    path.write_bytes(b"")
    choose(form, path)
    expect(form.get_by_role("status")).to_contain_text("This file is empty")
    form.get_by_label("Base model").select_option(index=1)
    form.get_by_label("Method").fill("Empty")
    form.get_by_role("button", name="Submit").click()
    expect(form.get_by_text("The file is empty. Upload it again.").first).to_be_visible()
    expect(form.get_by_text("The upload is kept")).to_have_count(0)
