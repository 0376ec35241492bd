"""axe-core over the public pages, in light and dark, wide and narrow: no violation of any rule."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from portal.accounts.models import User
from portal.transparency.writing import write_due
from tests.leaderboard.test_compare import imported
from tests.leaderboard.test_items import answered, line
from tests.portal import factories
from tests.profiles import only_long

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

Check = Callable[[Page, str], None]


@pytest.fixture
def accessible() -> Check:
    """Opens an address, with all that can be unfolded, and fails on any violation or sideways scrolling."""

    def check(page: Page, url: str) -> None:
        page.goto(url)
        page.evaluate("document.querySelectorAll('details:not(.menu)').forEach(part => part.open = true)")
        results = Axe().run(page, options={"resultTypes": ["violations"]})
        assert results.violations_count == 0, f"{url}: {results.generate_report()}"
        wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
        assert not wide, f"{url} scrolls sideways"

    return check


@pytest.mark.slow("checks every page with axe")
@pytest.mark.parametrize(
    ("scheme", "width"),
    [
        ("light", 1280),
        ("dark", 360),
        pytest.param("light", 360, marks=only_long),
        pytest.param("dark", 1280, marks=only_long),
    ],
)
def test_no_page_has_a_violation(
    browser: Browser, live_server: Any, tmp_path: Path, accessible: Check, scheme: Any, width: int
) -> None:
    owner = factories.user("owner")
    first, second = filled(owner)
    imported(tmp_path, "finance")
    write_due()
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
    page = context.new_page()
    for path in (
        "/",
        "/leaderboard/",
        "/leaderboard/finance/",
        "/leaderboard/finance/?show=declared",
        "/leaderboard/finance/charts/",
        "/leaderboard/code/",
        f"/entries/{first}/",
        f"/entries/{second + 1}/",
        f"/entries/{first}/embed/",
        f"/entries/{first}/items/fpb/?show=wrong",
        f"/compare/?entries={first},{second}&benchmark=fpb",
        "/compare/",
        "/budget/?max_communication=5",
        "/benchmarks/",
        "/benchmarks/fpb/",
        "/base-models/",
        "/method/",
        "/rules/",
        "/changes/",
        "/audits/",
        "/baselines/",
        "/data/",
        "/contact/",
        "/privacy/",
        "/accounts/login/",
        "/accounts/signup/",
        "/queue/",
        "/client/",
        "/docs/",
        "/docs/?q=communication",
        "/docs/baselines/",
        "/docs/glossary/",
        "/api/docs/",
        "/help/findings/",
        "/help/findings/adapter_config.base_model/",
        "/help/findings/nothing.like_it/",
    ):
        accessible(page, live_server.url + path)
    context.close()


def filled(owner: User) -> tuple[int, int]:
    """Two entries with answers of every kind."""
    made = [
        answered(owner, [line(i, i % step == 0) for i in range(40)], method=name)
        for name, step in (("Good", 2), ("Less good", 3))
    ]
    return made[0].pk, made[1].pk
