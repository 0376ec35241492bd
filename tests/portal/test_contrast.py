"""The colours of the site's stylesheet against WCAG 2.2 AA, in both schemes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

STYLESHEET = Path(__file__).parents[2] / "portal/static/portal/site.css"
CSS = re.sub(r"/\*.*?\*/", "", STYLESHEET.read_text(encoding="utf-8"), flags=re.DOTALL)
CHALLENGES = ("general-nlp", "finance", "medical", "code")
SCHEMES = ("light", "dark")

TEXT, SHAPE = 4.5, 3.0  # WCAG 2.2, 1.4.3 for text and 1.4.11 for the parts of controls and graphics

# foreground, background, least ratio
PAIRS = [
    *((ink, ground, TEXT) for ink in ("ink", "muted", "link") for ground in ("ground", "surface", "sunken")),
    *(
        (ink, ground, TEXT)
        for ink in ("ok", "warn", "bad", "info")
        for ground in ("ground", "surface", "sunken")
    ),
    *((level, f"{level}-soft", TEXT) for level in ("ok", "warn", "bad", "info")),
    *((ink, f"{level}-soft", TEXT) for ink in ("ink", "link") for level in ("ok", "warn", "bad", "info")),
    ("on-primary", "primary", TEXT),
    ("edge", "ground", SHAPE),
    ("edge", "surface", SHAPE),
    *(("focus", ground, SHAPE) for ground in ("ground", "surface", "sunken", "bad-soft")),
]


def colours(selector: str) -> dict[str, tuple[str, str]]:
    """Return the custom properties of a rule that are pairs of colours, as (light, dark) in #rrggbb."""
    rule = re.search(rf"(?:^|\}})\s*{re.escape(selector)} \{{(.*?)\}}", CSS, flags=re.DOTALL)
    assert rule, f"no rule for {selector}"
    pair = r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)"
    return {name: (light, dark) for name, light, dark in re.findall(pair, rule[1])}


def luminance(colour: str) -> float:
    """Return the relative luminance of #rrggbb, 0 to 1, as WCAG 2.2 defines it."""
    channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours, 1 to 21."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_the_ratio_of_black_and_white_is_21() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("foreground", "background", "least"), PAIRS)
def test_a_pair_has_enough_contrast(foreground: str, background: str, least: float, scheme: str) -> None:
    root, index = colours(":root"), SCHEMES.index(scheme)
    assert contrast(root[foreground][index], root[background][index]) >= least


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("challenge", CHALLENGES)
@pytest.mark.parametrize("background", ["ground", "surface", "sunken"])
def test_an_accent_can_be_text(challenge: str, background: str, scheme: str) -> None:
    index = SCHEMES.index(scheme)
    accent = colours(f"[data-challenge={challenge}]")["accent"][index]
    assert contrast(accent, colours(":root")[background][index]) >= TEXT


def test_the_accent_outside_a_challenge_can_be_text() -> None:
    root = colours(":root")
    for index in range(len(SCHEMES)):
        assert contrast(root["accent"][index], root["ground"][index]) >= TEXT


def test_colours_are_stated_as_properties_only() -> None:
    rules = re.sub(r"--[\w-]+: light-dark\([^)]*\);", "", CSS)
    assert not re.findall(r"#[0-9a-f]{3,8}\b", rules)


def test_every_property_that_is_used_is_defined() -> None:
    used = set(re.findall(r"var\((--[\w-]+)\)", CSS))
    assert used <= set(re.findall(r"(--[\w-]+):", CSS))


def test_the_stylesheet_stays_small() -> None:
    assert STYLESHEET.stat().st_size < 40_000


@pytest.mark.parametrize("name", ["board.css", "review.css", "operate.css"])
def test_the_stylesheet_of_an_area_is_small_and_takes_the_sites_colours(name: str) -> None:
    sheet = STYLESHEET.with_name(name)
    assert sheet.stat().st_size < 10_000
    text = sheet.read_text(encoding="utf-8")
    assert set(re.findall(r"var\((--[\w-]+)\)", text)) <= set(re.findall(r"(--[\w-]+):", CSS))
    assert not re.findall(r"#[0-9a-f]{3,8}\b", re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL))
