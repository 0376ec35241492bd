"""The text of each page: the operator's, or the one to start from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

from portal.site_texts.models import SiteText

_TO_START_FROM = Path(__file__).parent / "defaults"
_MARKDOWN = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable("table")


@dataclass(frozen=True)
class Text:
    """A page's text as HTML. `edited_at` is None where the operator wrote none yet."""

    html: SafeString
    edited_at: datetime | None


def text_of(page: str) -> Text:
    """The text of one of SiteText.Page's pages."""
    own = SiteText.objects.filter(page=page).first()
    body = own.body if own else to_start_from(page)
    # markdown-it escapes HTML in the text and refuses javascript: addresses.
    return Text(mark_safe(_MARKDOWN.render(body)), own.edited_at if own else None)  # noqa: S308


def to_start_from(page: str) -> str:
    return (_TO_START_FROM / f"{page}.md").read_text(encoding="utf-8")
