"""What the Content-Security-Policy asks of every template: no inline scripts and no inline styles."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.template.loader import get_template

ROOT = Path(__file__).parents[2]
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT / "templates").as_posix()


@pytest.mark.parametrize("path", TEMPLATES, ids=name_of)
def test_a_template_has_no_inline_script_or_style(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"<style\b|\sstyle\s*=", text), "inline style"
    # What has the type of data is not run, so the policy lets it be.
    assert not re.search(r"<script\b(?![^>]*\b(?:src=|type=\"application/json\"))", text), "inline script"
    assert not re.search(r"\son[a-z]+\s*=\s*[\"']|\bhx-on\b|javascript:", text), "inline handler"


@pytest.mark.parametrize("path", TEMPLATES, ids=name_of)
def test_every_template_that_is_included_or_extended_exists(path: Path) -> None:
    for name in re.findall(r"\{% (?:include|extends) \"([^\"]+)\"", path.read_text(encoding="utf-8")):
        get_template(name)
