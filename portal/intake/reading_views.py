"""The answer to a browser that reads a submission's folder: what to send of it, and then what it says."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, JsonResponse
from django.template.loader import render_to_string
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from evaluation.rules.challenges import CHALLENGES
from portal import rates
from portal.intake.chosen_files import MAX_SIZE, ChoiceRefused, Layout, ListedFile, Selection
from portal.intake.read_files import read
from portal.submissions.models import BaseModel

READINGS = "120/minute"
_MALFORMED = "The browser sent what cannot be read. Load the page anew and choose the files again."


@dataclass(frozen=True)
class _Asked:
    files: Sequence[ListedFile]
    sent: Sequence[tuple[str, int]]
    selection: Selection
    challenge: str
    base_model: BaseModel | None


@login_required
@require_POST
@never_cache
def read_chosen(request: HttpRequest) -> JsonResponse:
    """`listing` names files and what of them comes in `contents`; `wanted` in the answer asks for more."""
    if not rates.hit(READINGS, "read-chosen", str(request.user.pk)).is_allowed:
        return JsonResponse({"detail": "Too many folders in a minute. Wait a moment."}, status=429)
    try:
        asked = _asked(request.POST.get("listing", ""))
        with tempfile.TemporaryDirectory(prefix="chosen-") as folder:
            return JsonResponse(_answer(request, asked, Path(folder)))
    except ChoiceRefused as refusal:
        return JsonResponse({"detail": str(refusal)}, status=422)


def _answer(request: HttpRequest, asked: _Asked, folder: Path) -> dict[str, Any]:
    layout = Layout(folder)
    layout.lay_out(asked.files)
    contents = request.FILES.get("contents")
    layout.fill(asked.sent, cast(BinaryIO, contents.file) if contents else io.BytesIO())
    found = layout.find(asked.selection)
    if found.wanted:
        return {"wanted": [asdict(each) for each in found.wanted]}
    reading = read(found, challenge=asked.challenge, base_model=asked.base_model)
    context = {"found": found, "reading": reading}
    return {
        "wanted": [],
        "files": dict(found.files),
        "values": [asdict(each) for each in reading.values],
        "html": render_to_string("portal/submissions/_read.html", context, request),
    }


def _asked(text: str) -> _Asked:
    """The request's JSON. Raises ChoiceRefused."""
    try:
        document = json.loads(text)
        files = [ListedFile(_text(p), _size(s), float(m)) for p, s, m in document["files"]]
        sent = [(_text(path), _size(size)) for path, size in document["sent"]]
        selection = Selection(_text(document["app"]), _text(document["checkpoint"]))
        challenge, base_model = _text(document["challenge"]), _text(document["base_model"])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise ChoiceRefused(_MALFORMED) from error
    chosen = (
        BaseModel.objects.filter(active=True, pk=int(base_model)).first() if _is_key(base_model) else None
    )
    return _Asked(files, sent, selection, challenge if challenge in CHALLENGES else "", chosen)


def _is_key(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 18


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _size(value: object) -> int:
    if not isinstance(value, int) or not 0 <= value <= MAX_SIZE:
        raise ValueError
    return value
