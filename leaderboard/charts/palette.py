"""The site's colours for pictures that leave it: pages know them as CSS variables, a file does not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from django.contrib.staticfiles import finders

STYLESHEET = "portal/site.css"
FONT = "Liberation Sans"
FONTS = f"-apple-system, 'Segoe UI', Roboto, '{FONT}', Arial, sans-serif"
_PAIR = re.compile(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), #[0-9a-f]{6}\)")
_VARIABLE = re.compile(r"var\(--([\w-]+)\)")


def resolved(svg: str, challenge: str) -> str:
    """The same picture in the light scheme's colours. Raises KeyError for a variable that is no colour."""
    colours = light_colours(challenge)
    return _VARIABLE.sub(lambda variable: colours[variable[1]], svg)


@cache
def light_colours(challenge: str) -> Mapping[str, str]:
    """The light scheme's colours of a challenge's pages, as #rrggbb by their CSS names."""
    found = finders.find(STYLESHEET)
    assert isinstance(found, str), f"{STYLESHEET} is part of this software"
    text = Path(found).read_text(encoding="utf-8")
    return _rule(text, ":root") | _rule(text, f"[data-challenge={challenge}]")


def _rule(stylesheet: str, selector: str) -> dict[str, str]:
    rule = re.search(rf"^{re.escape(selector)} \{{(.*?)\}}", stylesheet, flags=re.DOTALL | re.MULTILINE)
    assert rule, f"{STYLESHEET} has a rule for {selector}"
    return dict(_PAIR.findall(rule[1]))
