"""Following a submission until nothing more happens by itself, without asking more often than is of use."""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from flowertune.answers import DECIDED, DRAFT, EVALUATED, GIVEN_UP, TRIED, Submission
from flowertune.errors import ClientError, EvaluationFailed, TemporaryError
from flowertune.site import Site

SHORTEST_SECONDS = 2.0
LONGEST_SECONDS = 30.0
_FETCHING = ("waiting", "running")  # its files come from the hub, and then it is sent

Seen = Callable[[Submission], None]


def watch(
    site: Site, number: int, seen: Seen, *, until_decided: bool = False, seconds: float | None = None
) -> dict[str, Any]:
    """Poll submission `number` until it is evaluated (or decided on), and return it as it then is; also once
    its smoke run is done, because then it waits for its team.

    `seen` is told every new state. An unchanged one costs the site a 304, and the pauses grow. Raises
    TemporaryError when `seconds` are over, ClientError for a draft that nobody sent.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    etag, pause = "", SHORTEST_SECONDS
    while True:
        headers = {"If-None-Match": etag} if etag else {}
        response = site.send("GET", f"submissions/{number}/", headers=headers)
        if response.status_code == HTTPStatus.NOT_MODIFIED:
            pause = min(LONGEST_SECONDS, 1.5 * pause)
        else:
            etag, pause = response.headers.get("ETag", ""), SHORTEST_SECONDS
            document = site.parse(response)
            submission = Submission.read(document)
            seen(submission)
            if _is_over(submission, until_decided):
                return document
        if deadline is not None and time.monotonic() + pause > deadline:
            raise TemporaryError(f"The time is over; submission {number} goes on without you watching it.")
        site.pause(pause)


def outcome(submission: Submission) -> ClientError | None:
    """What the end of a submission means as an error; None for one that has its scores."""
    if submission.status in ("failed", "invalid"):
        latest = submission.latest
        reason = latest.error if latest and latest.error else "The site gives no reason."
        return EvaluationFailed(f"Submission {submission.id} {submission.shown_status}: {reason}")
    if submission.status in ("rejected", "disqualified", "withdrawn"):
        return ClientError(f"Submission {submission.id} was {submission.shown_status}: {submission.url}")
    return None


def _is_over(submission: Submission, until_decided: bool) -> bool:
    if submission.status == DRAFT and submission.hub_status not in _FETCHING:
        raise ClientError(
            f"Submission {submission.id} is a draft: nothing happens to it before it is sent, by the same "
            f"`flowertune submit` without --draft or at {submission.url}"
        )
    return submission.status in (TRIED, *(DECIDED if until_decided else (*EVALUATED, *GIVEN_UP)))
