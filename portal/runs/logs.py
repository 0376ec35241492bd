"""An evaluation's log for its team: what its workers met, within bounds, without what is their machine's."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Max, Sum
from django.db.models.functions import Length
from django.utils import timezone
from django.utils.crypto import salted_hmac

from portal.runs.models import Evaluation, LogLine
from portal.runs.models.log import LONGEST_TEXT, MOST_LINES
from portal.submissions.models import Submission

Level = LogLine.Level

MOST_CHARACTERS = 64_000
NEWEST = 8
FULL = "This log is full: what follows is not kept."

# Absolute paths keep their last part; addresses of pages stay, but for what follows a "?".
_PATH = re.compile(r"(?:(?<![\w/])|(?<=file://))(?:/[^\s/:'\",;()]+)+/([^\s/:'\",;()]+)/?")
_SECRET = re.compile(r"\b(?:hf_\w{4,}|Bearer \S+)|(?<=//)[^\s/@]+@|(?<=\S\?)[^\s'\"?]*=[^\s'\"]*")
# What no line needs and no table takes: signs that steer a terminal, and halves of a surrogate pair.
_UNREADABLE = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True)
class Line:
    """What happened, when, and how bad it is."""

    text: str
    level: LogLine.Level = Level.INFO
    at: datetime = field(default_factory=timezone.now)


def add(evaluation: Evaluation, *lines: Line) -> None:
    """Write lines behind those that are there. The caller holds the lock on the evaluation's row.

    Of a log that is full the last line says so, and nothing is added to it.
    """
    there = LogLine.objects.filter(evaluation=evaluation).aggregate(
        last=Max("number"), size=Sum(Length("text"))
    )
    number, size = there["last"] or 0, there["size"] or 0
    rows = []
    for line in lines:
        if number == MOST_LINES:
            break
        text, level, number = public(line.text, evaluation.worker), line.level, number + 1
        size += len(text)
        if number == MOST_LINES or size > MOST_CHARACTERS - len(FULL):
            text, level, number = FULL, Level.WARNING, MOST_LINES
        rows.append(LogLine(evaluation=evaluation, number=number, at=line.at, level=level, text=text))
    LogLine.objects.bulk_create(rows)


def newest(submission: Submission) -> list[LogLine]:
    """The last lines of all its evaluations, as they came."""
    lines = LogLine.objects.filter(evaluation__submission=submission).order_by("-at", "-pk")
    return list(reversed(lines[:NEWEST]))


def public(text: str, worker: str = "") -> str:
    """The text as a team may read it: one line, without secrets, the machine's name and its folders."""
    text = _PATH.sub(r"…/\1", _SECRET.sub("…", _UNREADABLE.sub("", text)))
    for name in filter(None, (worker, worker.rpartition(":")[0])):
        text = re.sub(rf"\b{re.escape(name)}\b", public_name(worker), text)
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"


def public_name(worker: str) -> str:
    """What a team may call a worker, whose name tells its machine: the same worker has the same name."""
    return f"worker {salted_hmac('portal.runs.logs', worker).hexdigest()[:4]}"
