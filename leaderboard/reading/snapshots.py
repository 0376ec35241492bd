"""Snapshots of the boards: what stands on each, in order. Built once for a state of the database.

A challenge has a board for each protocol. A stamp names the state it was built from: the number of published
entries and the last change of any. Stamps are read at most once a second in a process, and as long as a
board's stays, its pages ask the database for nothing. A snapshot is built by whoever needs it first, mostly a
worker that the change has woken, under a lock of the database, and kept in the cache for the other processes.
While one is being built, those who have an older one show it.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from operator import itemgetter

from django.conf import settings
from django.core.cache import cache
from django.db import connection, transaction
from django.db.models import Count, Max, Q, Sum
from django.utils import timezone

from evaluation import rules
from evaluation.rules.challenges import CHALLENGES
from evaluation.rules.protocol import PROTOCOLS, PUBLIC
from evaluation.statistics import Settled
from leaderboard.reading import collector, growth
from leaderboard.reading.queries import public_at, read
from leaderboard.reading.snapshot_format import (
    BOARDS,
    PAST_BOARDS,
    PAST_SECONDS,
    SETTLED,
    Snapshot,
    make,
)
from leaderboard.standing.ranking import standings
from portal.monitoring import board_builds
from portal.runs.models import Evaluation, Reproduction
from portal.submissions.models import Submission

CHECK_SECONDS = 1.0
"""How old a board may look at most to a process that knows it."""
_SMALL = 16_000
"""Bytes of names: a board of fewer than a thousand entries is compared as quickly as that is kept."""
PAST_KEPT = 3
"""How many boards of the past a process holds: one of ten thousand entries has some 40 MB."""


@dataclass(frozen=True)
class _Board:
    """Which board: a challenge's under one protocol."""

    challenge: str
    protocol: int

    @classmethod
    def of(cls, challenge: str, protocol: int | None) -> _Board:
        """The site's own protocol where none is named. Raises UnknownNameError."""
        number = settings.LEADERBOARD_PROTOCOLS[0] if protocol is None else protocol
        rules.of(challenge, number)
        return cls(challenge, number)

    def __str__(self) -> str:
        return f"{self.challenge}:{self.protocol}"


@dataclass(frozen=True)
class _State:
    """The stamp of a board, the protocols that its challenge has boards of, and a stamp of what is beside it.

    These are the site's own in its order, then others under which there are entries.
    """

    stamp: str
    protocols: tuple[int, ...]
    beside: str

    @classmethod
    def of(
        cls, board: _Board, filled: Iterable[int], facts: Iterable[object], beside: object = None
    ) -> _State:
        """`filled` are the protocols under which there are entries; `facts` change with the board's, `beside`
        with what was measured beside it."""
        own = settings.LEADERBOARD_PROTOCOLS
        protocols = (*own, *sorted({board.protocol, *filled} - set(own)))
        return cls(_stamp((protocols, *facts, beside)), protocols, _stamp(beside))


@dataclass(frozen=True)
class _Known:
    """A snapshot with the stamp of the state it was built from, and when this process last looked."""

    snapshot: Snapshot
    stamp: str
    checked: float = 0.0


_known: dict[_Board, _Known] = {}
_answers: dict[_Board, growth.Known] = {}
_past: dict[str, Snapshot] = {}
_BESIDE = Q(status=Evaluation.Status.MEASURED) & ~Q(purpose=Evaluation.Purpose.ROUND)
_UNTUNED = Q(purpose=Evaluation.Purpose.BOARD, checkpoint=None)
_past_lock = threading.Lock()


def current(challenge: str, protocol: int | None = None) -> Snapshot:
    """The board under a protocol, by default the site's own, as it stands. Raises UnknownNameError."""
    board = _Board.of(challenge, protocol)
    known = _known.get(board)
    if known is None or time.monotonic() - known.checked >= CHECK_SECONDS:
        return checked(challenge, protocol)
    return known.snapshot


def checked(challenge: str, protocol: int | None = None) -> Snapshot:
    """The board as it stands at this very moment, built if it has to be.

    All boards that this process knows are looked after at once, in as many queries as one.
    """
    board = _Board.of(challenge, protocol)
    now, states = time.monotonic(), _states()
    names = cache.get_many([_name_key(other) for other in list(_known)])
    for other, known in list(_known.items()):
        if known.stamp == states[other].stamp and names.get(_name_key(other)) in (None, _name(known)):
            _known[other] = replace(known, checked=now)
    before = _known.get(board)
    if before is None or before.checked < now:
        state = states[board]
        found = _stored(board, state) or _built(board, state, before)
        _known[board] = replace(found, checked=now)
    return _known[board].snapshot


def as_of(challenge: str, moment: datetime | None, protocol: int | None = None) -> Snapshot:
    """The board as it stood at a moment, for None as it stands. Raises UnknownNameError.

    Moments between which nothing happened share one snapshot: whoever walks through the days makes no more
    work than there were changes.
    """
    if moment is None or moment >= timezone.now():
        return current(challenge, protocol)
    board = _Board.of(challenge, protocol)
    state = _past_state(board, moment)
    key = f"{board}:{state.stamp}"
    found = _past.get(key)
    return found if found and _is_fresh(found) else _loaded(key, board, state, moment)


def _is_fresh(past: Snapshot) -> bool:
    """Whether names of teams and models, which no stamp tells of, are still as one may keep them."""
    return (timezone.now() - past.built_at).total_seconds() < PAST_SECONDS


def _loaded(key: str, board: _Board, state: _State, moment: datetime) -> Snapshot:
    """The board of the past kept under that key or built: once, however many threads ask for it."""
    with _past_lock:
        found = _past.pop(key, None)
        if found is None or not _is_fresh(found):
            found = PAST_BOARDS.get(key) or _built_past(key, board, state, moment)
        _past[key] = found
        while len(_past) > PAST_KEPT:
            del _past[next(iter(_past))]
    return found


def _built_past(key: str, board: _Board, state: _State, moment: datetime) -> Snapshot:
    """Built by one process at a time, by a lock of its own: today's board does not wait for it."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('board of the past'))")
        found = PAST_BOARDS.get(key)  # another process may have built it meanwhile
        if found is None:
            found = _build(board, state, moment)
            PAST_BOARDS.put(key, found)
    return found


def renew(challenge: str, protocol: int | None = None) -> Snapshot:
    """Build the board anew though its stamp stays: names of teams and models are no part of that."""
    board = _Board.of(challenge, protocol)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [str(board)])
        return _build_today(board, _states()[board], None).snapshot


def afresh(challenge: str, protocol: int | None = None) -> Snapshot:
    """The board built from the database alone, kept nowhere: to hold the one that is shown against."""
    board = _Board.of(challenge, protocol)
    return _build(board, _states()[board], None)


def _built(board: _Board, state: _State, known: _Known | None) -> _Known:
    """The board of that state or a later one; the one that is known while another process builds it."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext(%s))", [str(board)])
        if not cursor.fetchone()[0]:
            if known is not None:
                return known
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [str(board)])
        found = _stored(board, state)
        if found is None:
            found = _build_today(board, state, _latest(board, known))
    return found


def _stored(board: _Board, state: _State) -> _Known | None:
    """What another process built for that state; None, too, where what is kept is not what its name says."""
    name = cache.get(_name_key(board))
    if (name or "").partition(" ")[0] != state.stamp:
        return None
    known = _known.get(board)
    with collector.held_back():
        kept = BOARDS.get(str(board), known.snapshot if known else None)
        found = kept and _Known(kept, state.stamp)
        return found if found and _name(found) == name else None


def _latest(board: _Board, known: _Known | None) -> Snapshot | None:
    """What was built last, by whatever process."""
    name = cache.get(_name_key(board))
    if known and name == _name(known):
        return known.snapshot
    return BOARDS.get(str(board), known.snapshot if known else None)


def _store(board: _Board, built: _Known, before: Snapshot | None) -> None:
    BOARDS.put(str(board), built.snapshot, before)
    cache.set(_name_key(board), _name(built), None)


def _name(known: _Known) -> str:
    return f"{known.stamp} {known.snapshot.version}"


def _name_key(board: _Board) -> str:
    return f"{BOARDS.index.key(str(board))}:name"


def _states() -> dict[_Board, _State]:
    """Of all boards: they change with a challenge's published entries, those that left or were handed over to
    their team, re-runs under the protocol, reproductions, what was measured beside the boards, and what base
    models scored on any of them."""
    is_declared = Q(kind=Submission.Kind.IMPORTED, status=Submission.Status.PUBLISHED)
    entries = (
        Submission.objects.filter(status__in=(*Submission.PUBLIC, Submission.Status.WITHDRAWN))
        .order_by()
        .values_list("challenge")
        .annotate(
            Count("pk"), Max("status_changed_at"), Sum("team"), declared=Count("pk", filter=is_declared)
        )
    )
    for_boards = Q(
        submission__status=Submission.Status.PUBLISHED, status=Evaluation.Status.SUCCEEDED, for_audit=False
    )
    runs = (
        Evaluation.objects.filter(for_boards | _BESIDE)
        .order_by()
        .values_list("purpose", "submission__challenge", "protocol")
        .annotate(
            Count("pk"),
            Max("finished_at"),
            untuned=Count("pk", filter=_UNTUNED),
            last_untuned=Max("finished_at", filter=_UNTUNED),
            sum_untuned=Sum("pk", filter=_UNTUNED),
        )
    )
    by_purpose = sorted(runs, key=itemgetter(0, 1, 2))
    verdicts = Reproduction.objects.order_by().values_list("original__challenge").annotate(Max("judged_at"))
    of_challenge = {row[0]: row[1:] for row in entries}
    of_board = {_Board(*row[1:3]): row[3:5] for row in by_purpose if row[0] == Evaluation.Purpose.BOARD}
    # Of all boards: an adapter is held against its base model's results, whichever entry asked for those, and
    # on whichever board they are. What leaks is told under every protocol.
    beside: dict[int, list[object]] = defaultdict(list)
    for purpose, _, protocol, *facts in by_purpose:
        count, *told = facts[2:] if purpose == Evaluation.Purpose.BOARD else facts[:2]
        if count:
            for number in PROTOCOLS if purpose == Evaluation.Purpose.LEAKAGE else [protocol]:
                beside[number].append((purpose, count, *told))
    judged = {row[0]: row[1:] for row in verdicts}
    filled: dict[str, set[int]] = {slug: set() for slug in CHALLENGES}
    for slug, (*_, declared) in of_challenge.items():
        filled[slug] |= {PUBLIC.number} if declared else set()
    for board in of_board:
        filled[board.challenge] |= {board.protocol} & PROTOCOLS.keys()
    return {
        (board := _Board(slug, number)): _State.of(
            board,
            filled[slug],
            (of_challenge.get(slug), of_board.get(board), judged.get(slug)),
            beside.get(number),
        )
        for slug in CHALLENGES
        for number in PROTOCOLS
    }


def _past_state(board: _Board, moment: datetime) -> _State:
    """Changes with what was on the board at a moment, as far as is known today."""
    shown = public_at(board.challenge, moment)
    entries = shown.aggregate(
        count=Count("pk"),
        last=Max("published_at"),
        total=Sum("pk"),
        left=Max("status_changed_at"),
        teams=Sum("team"),
        imported=Count("pk", filter=Q(kind=Submission.Kind.IMPORTED)),
    )
    runs = (
        Evaluation.objects.filter(
            submission__in=shown.values("pk"), status=Evaluation.Status.SUCCEEDED, finished_at__lte=moment
        )
        .order_by()
        .values_list("protocol")
        .annotate(Count("pk"), Max("finished_at"))
    )
    beside = Evaluation.objects.filter(_BESIDE, protocol=board.protocol, finished_at__lte=moment).aggregate(
        count=Count("pk"), last=Max("finished_at")
    )
    verdicts = Reproduction.objects.filter(
        original__in=shown.values("pk"),
        verdict=Reproduction.Verdict.CONFIRMED,
        judged_at__lte=moment,
    ).aggregate(count=Count("pk"), last=Max("judged_at"))
    under = {number: found for number, *found in runs if number in PROTOCOLS}
    filled = {*under, *([PUBLIC.number] if entries["imported"] else [])}
    facts = (*entries.values(), under.get(board.protocol), *verdicts.values(), *beside.values())
    return _State.of(board, filled, facts)


def _build_today(board: _Board, state: _State, before: Snapshot | None) -> _Known:
    """From the board before, where there is one, with what the build before settled; kept for the other
    processes, noting how long it took."""
    began = time.monotonic()
    with collector.held_back():
        settled = dict(SETTLED.get(str(board)) or {})
        placed = None
        if before and before.beside == state.beside and board in _answers:
            placed = growth.grown(before, _answers[board], settled)
        placed = placed or _whole(board, None, settled)
        _answers[board] = placed.known
        built = _Known(_made(board, state, placed), state.stamp)
        _store(board, built, before)
        if sum(len(found.names) for found in settled.values()) > _SMALL:
            SETTLED.put(str(board), settled)
    board_builds.note(board.challenge, board.protocol, time.monotonic() - began)
    return built


def _build(board: _Board, state: _State, moment: datetime | None) -> Snapshot:
    with collector.held_back():
        return _made(board, state, _whole(board, moment))


def _whole(
    board: _Board,
    moment: datetime | None,
    settled: dict[str, Settled] | None = None,
) -> growth.Placed:
    """The board from the database alone; `settled` is renewed."""
    reading = read(public_at(board.challenge, moment), moment, protocol=board.protocol, with_answers=True)
    benchmarks = rules.of(board.challenge, board.protocol).benchmarks
    found = standings(reading.entries, benchmarks, reading.answers, settled)
    return growth.Placed(found, growth.known_from(reading), parts={})


def _made(board: _Board, state: _State, placed: growth.Placed) -> Snapshot:
    return make(
        board.challenge,
        timezone.now(),
        placed.standings,
        protocol=board.protocol,
        protocols=state.protocols,
        beside=state.beside,
        kept=placed.parts,
    )


def _stamp(facts: object) -> str:
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:20]


__all__ = ["Snapshot", "afresh", "as_of", "checked", "current", "renew"]
