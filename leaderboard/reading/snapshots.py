"""Snapshots of the boards: what stands on each, in order. Built once for a state of the database.

A stamp names that state: the number of published entries and the last change of any. It is read at most once
a second for a board in a process, and as long as it stays, pages ask the database for nothing. A snapshot is
built by whoever needs it first, mostly a worker that the change has woken, under a lock of the database, and
kept in the cache for the other processes. While one is being built, those who have an older one show it.
"""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass, replace
from datetime import datetime

from django.core.cache import cache
from django.db import connection, transaction
from django.db.models import Count, Max, Sum
from django.utils import timezone

from evaluation.rules.challenges import CHALLENGES, get
from leaderboard.reading.queries import public_at, read
from leaderboard.reading.snapshot_format import BOARDS, PAST_BOARDS, Snapshot, make
from leaderboard.standing.ranking import standings
from portal.runs.models import Evaluation, Reproduction
from portal.submissions.models import Submission

CHECK_SECONDS = 1.0
"""How old a board may look at most to a process that knows it."""
PAST_KEPT = 3
"""How many boards of the past a process holds: one of ten thousand entries has some 40 MB."""


@dataclass(frozen=True)
class _Known:
    """A snapshot with the stamp of the state it was built from, and when this process last looked."""

    snapshot: Snapshot
    stamp: str
    checked: float = 0.0


_known: dict[str, _Known] = {}
_past: dict[str, Snapshot] = {}
_past_lock = threading.Lock()


def current(challenge: str) -> Snapshot:
    """The board as it stands. Raises UnknownNameError where there is no such challenge."""
    get(challenge)
    known = _known.get(challenge)
    if known is None or time.monotonic() - known.checked >= CHECK_SECONDS:
        return checked(challenge)
    return known.snapshot


def checked(challenge: str) -> Snapshot:
    """The board as it stands at this very moment, built if it has to be.

    All boards that this process knows are looked after at once, in as many queries as one.
    """
    now, stamps = time.monotonic(), _stamps()
    names = cache.get_many([_name_key(slug) for slug in _known])
    for slug, known in list(_known.items()):
        if known.stamp == stamps[slug] and names.get(_name_key(slug)) in (None, _name(known)):
            _known[slug] = replace(known, checked=now)
    before = _known.get(challenge)
    if before is None or before.checked < now:
        stamp = stamps[challenge]
        found = _stored(challenge, stamp) or _built(challenge, stamp, before)
        _known[challenge] = replace(found, checked=now)
    return _known[challenge].snapshot


def as_of(challenge: str, moment: datetime) -> Snapshot:
    """The board as it stood at a moment. Raises UnknownNameError where there is no such challenge.

    Moments between which nothing happened share one snapshot: whoever walks through the days makes no more
    work than there were changes.
    """
    get(challenge)
    if moment >= timezone.now():
        return current(challenge)
    key = f"{challenge}:{_past_stamp(challenge, moment)}"
    found = _past.get(key)
    return found if found and _is_fresh(found) else _loaded(key, challenge, moment)


def _is_fresh(past: Snapshot) -> bool:
    """Whether names of teams and models, which no stamp tells of, are still as one may keep them."""
    assert PAST_BOARDS.seconds is not None
    return (timezone.now() - past.built_at).total_seconds() < PAST_BOARDS.seconds


def _loaded(key: str, challenge: str, moment: datetime) -> Snapshot:
    """The board of the past kept under that key or built: once, however many threads ask for it."""
    with _past_lock:
        found = _past.pop(key, None)
        if found is None or not _is_fresh(found):
            found = PAST_BOARDS.get(key) or _built_past(key, challenge, moment)
        _past[key] = found
        while len(_past) > PAST_KEPT:
            del _past[next(iter(_past))]
    return found


def _built_past(key: str, challenge: str, moment: datetime) -> Snapshot:
    """Built by one process at a time, by a lock of its own: today's board does not wait for it."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('board of the past'))")
        # Another process may have built it meanwhile.
        return PAST_BOARDS.get_or_make(key, lambda: _build(challenge, moment))


def renew(challenge: str) -> Snapshot:
    """Build the board anew though its stamp stays: names of teams and models are no part of that."""
    stamp = _stamps()[challenge]
    snapshot = _build(challenge, None)
    _store(challenge, _Known(snapshot, stamp))
    return snapshot


def _built(challenge: str, stamp: str, known: _Known | None) -> _Known:
    """The board of that stamp or a later one; the one that is known while another process builds it."""
    with transaction.atomic(), connection.cursor() as cursor:
        lock = f"board:{challenge}"
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext(%s))", [lock])
        if not cursor.fetchone()[0]:
            if known is not None:
                return known
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [lock])
        found = _stored(challenge, stamp)
        if found is None:
            found = _Known(_build(challenge, None), stamp)
            _store(challenge, found)
    return found


def _stored(challenge: str, stamp: str) -> _Known | None:
    """What another process built for that stamp."""
    if (cache.get(_name_key(challenge)) or "").partition(" ")[0] != stamp:
        return None
    kept = BOARDS.get(challenge)
    return None if kept is None else _Known(kept, stamp)


def _store(challenge: str, built: _Known) -> None:
    BOARDS.put(challenge, built.snapshot)
    cache.set(_name_key(challenge), _name(built), None)


def _name(known: _Known) -> str:
    return f"{known.stamp} {known.snapshot.version}"


def _name_key(challenge: str) -> str:
    return f"{BOARDS.key(challenge)}:name"


def _stamps() -> dict[str, str]:
    """By challenge: changes with its published entries, those that left, re-runs and reproductions."""
    entries = (
        Submission.objects.filter(status__in=(*Submission.PUBLIC, Submission.Status.WITHDRAWN))
        .order_by()
        .values_list("challenge")
        .annotate(Count("pk"), Max("status_changed_at"))
    )
    runs = (
        Evaluation.objects.filter(
            submission__status=Submission.Status.PUBLISHED, status=Evaluation.Status.SUCCEEDED
        )
        .order_by()
        .values_list("submission__challenge")
        .annotate(Count("pk"), Max("finished_at"))
    )
    verdicts = Reproduction.objects.order_by().values_list("original__challenge").annotate(Max("judged_at"))
    facts: dict[str, list[object]] = {slug: [] for slug in CHALLENGES}
    for rows in (entries, runs, verdicts):
        found = {row[0]: row[1:] for row in rows}
        for slug, known in facts.items():
            known.append(found.get(slug))
    return {slug: hashlib.sha256(repr(known).encode()).hexdigest()[:20] for slug, known in facts.items()}


def _past_stamp(challenge: str, moment: datetime) -> str:
    """Changes with what was on the board at a moment, as far as is known today."""
    shown = public_at(challenge, moment)
    entries = shown.aggregate(
        count=Count("pk"), last=Max("published_at"), total=Sum("pk"), left=Max("status_changed_at")
    )
    runs = Evaluation.objects.filter(
        submission__in=shown.values("pk"), status=Evaluation.Status.SUCCEEDED, finished_at__lte=moment
    ).aggregate(count=Count("pk"), last=Max("finished_at"))
    verdicts = Reproduction.objects.filter(
        original__in=shown.values("pk"),
        verdict=Reproduction.Verdict.CONFIRMED,
        judged_at__lte=moment,
    ).aggregate(count=Count("pk"), last=Max("judged_at"))
    facts = (*entries.values(), *runs.values(), *verdicts.values())
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:20]


def _build(challenge: str, moment: datetime | None) -> Snapshot:
    benchmarks = get(challenge).benchmarks
    reading = read(public_at(challenge, moment), moment, with_answers=True)
    newest = max((entry.protocol for entry in reading.entries), default=0)
    entries = [entry for entry in reading.entries if entry.protocol in (0, newest)]
    placed = standings(entries, benchmarks, reading.answers)
    return make(challenge, timezone.now(), placed)


__all__ = ["Snapshot", "as_of", "checked", "current", "renew"]
