"""Texts of people in XML, and in JSON within a page: without what would break the form."""

from __future__ import annotations

import json
import re
from typing import Any

from django.utils.safestring import SafeString, mark_safe

# Characters that no XML 1.0 document may hold, not even escaped.
_UNWRITABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# As in Django's json_script: within a script element only these could end it or begin a comment.
_ESCAPES = str.maketrans({"<": "\\u003C", ">": "\\u003E", "&": "\\u0026"})


def xml_text(text: str) -> str:
    """The text without the characters that XML forbids; escaping is the writer's."""
    return _UNWRITABLE.sub("", text)


def json_ld(data: dict[str, Any]) -> SafeString:
    """A data block for search engines. Browsers never run it: a strict content security policy allows it."""
    text = json.dumps(data, ensure_ascii=False).translate(_ESCAPES)
    return mark_safe(f'<script type="application/ld+json">{text}</script>')  # noqa: S308  # escaped above
