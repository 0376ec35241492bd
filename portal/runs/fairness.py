"""Whose evaluation is next: turns between users, within a user between teams.

The rule is round robin over users, as in fair queuing (J. Nagle, "On packet switches with infinite storage",
RFC 970, 1985), with one evaluation as a turn, because how long one takes is not known before. Formally:

* Evaluations are claimed in rounds. Members of a round are the users who had something waiting when it began;
  it gives each one turn. It is over when no member who had none has anything waiting that can be claimed. Who
  came meanwhile is in the next.
* A user is who submitted, with however many teams. Within a user, the team whose last turn is longest ago is
  next.
* Within a team, what waited for OVERDUE goes by age; of the rest, what is for the base model that the worker
  has loaded goes first.
* Within a round, what is for the loaded base model goes first, then the oldest.
* What staff or an audit asked for (a priority above zero) uses up nobody's turn, and goes first, but at most
  every other time.
* Retrainings, and re-evaluations without a priority, are turns of whoever submitted them.
* A turn that was given back was not had.
* What is measured beside the boards (a priority below zero) waits until nothing else does, and uses up
  nobody's turn. Of it, what is of an entry that was begun and fits the loaded base model is first, so that a
  base model is loaded once for an entry's domains; then users take turns, whose last is longest ago first.

So, from when a user has something waiting to their next turn, every other user has at most two turns: one in
the round that runs, one in the next (`MOST_TURNS`). It does not matter how much others send, or who comes
later. Staff's evaluations can double that, and each other worker that claims in the same moment can add one.
Where some workers leave evaluations to others, it holds between those who wait for the same workers.

Nothing but the beginning of its round is kept with an evaluation. The rest follows from what was started in
the last day; after a longer pause everybody begins anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain, zip_longest

from django.db.models import Case, DateTimeField, F, Max, Q, QuerySet, Value, When, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from portal.runs.models import Evaluation

OVERDUE = timedelta(minutes=15)
"""For so long may evaluations of one's own team that fit the loaded base model pass one over."""

MOST_TURNS = 2
"""Of any other user, between two turns of a user who has something waiting."""

MEMORY = timedelta(days=1)

AT_A_TIME = 16
"""Of one user, team and base model, for a claim: more than workers that claim in the same moment."""

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Waiting:
    """A queued evaluation."""

    pk: int
    user: int
    team: int
    base_model: int
    priority: int
    queued_at: datetime
    submission: int = 0


@dataclass(frozen=True)
class Turns:
    """What turns there were: when the round began that runs, who had a turn in it, and when a user's teams
    last had one. `staff_was_last` says that the latest claim was of what staff asked for. `beside` says when
    a user last had something measured beside the boards, and `begun` of which entries."""

    round_began: datetime | None = None
    had_theirs: frozenset[int] = frozenset()
    teams: Mapping[tuple[int, int], datetime] = field(default_factory=dict)
    staff_was_last: bool = False
    beside: Mapping[int, datetime] = field(default_factory=dict)
    begun: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Order:
    """What waits, the next first; `in_this_round` has those whose claim is a turn of the round that runs."""

    waiting: list[Waiting]
    in_this_round: frozenset[int]


def in_order(
    waiting: Iterable[Waiting], turns: Turns, *, now: datetime, loaded_base_model: int | None = None
) -> Order:
    """The rule. Pure."""

    def cold(one: Waiting) -> bool:
        return one.base_model != loaded_base_model

    def within_team(one: Waiting) -> tuple[object, ...]:
        is_overdue = one.queued_at < now - OVERDUE
        return not is_overdue, not is_overdue and cold(one), one.queued_at, one.pk

    asked_by_staff, beside, of_users = [], [], defaultdict(list)
    for one in waiting:
        if one.priority > 0:
            asked_by_staff.append(one)
        elif one.priority < 0:
            beside.append(one)
        else:
            of_users[one.user].append(one)
    rounds: dict[int, int] = {}
    for user, theirs in of_users.items():
        is_member = (
            turns.round_began is not None
            and user not in turns.had_theirs
            and min(one.queued_at for one in theirs) < turns.round_began
        )
        for number, one in enumerate(_by_team(theirs, turns, within_team), start=0 if is_member else 1):
            rounds[one.pk] = number
    in_turn = sorted(
        chain.from_iterable(of_users.values()),
        key=lambda one: (rounds[one.pk], cold(one), one.queued_at, one.pk),
    )
    asked_by_staff.sort(key=lambda one: (-one.priority, one.queued_at, one.pk))
    alternating = (in_turn, asked_by_staff) if turns.staff_was_last else (asked_by_staff, in_turn)
    ordered = [one for pair in zip_longest(*alternating) for one in pair if one is not None]
    ordered += _beside(beside, turns, cold)
    return Order(ordered, frozenset(pk for pk, number in rounds.items() if number == 0))


def next_for(
    candidates: QuerySet[Evaluation], *, loaded_base_model: int | None
) -> tuple[QuerySet[Evaluation], Case]:
    """The first candidates in order, and what says of each when the round of its claim began."""
    now, turns = timezone.now(), turns_of_late()
    order = in_order(
        waiting_of(candidates, at_a_time=AT_A_TIME), turns, now=now, loaded_base_model=loaded_base_model
    )
    first = [one.pk for one in order.waiting[:AT_A_TIME]]
    place = Case(*(When(pk=pk, then=Value(number)) for number, pk in enumerate(first)), default=Value(0))
    round_began = Case(
        When(~Q(priority=0), then=None),
        When(pk__in=order.in_this_round.intersection(first), then=Value(turns.round_began)),
        # Begins the next round, which all who wait now are members of.
        default=Value(now),
        output_field=DateTimeField(),
    )
    return Evaluation.objects.filter(pk__in=first).order_by(place), round_began


def waiting_of(candidates: QuerySet[Evaluation], *, at_a_time: int | None = None) -> list[Waiting]:
    """Those of `candidates` that are queued; of one user, team and base model only the oldest, if told so."""
    queued = candidates.filter(status=Evaluation.Status.QUEUED)
    if at_a_time is not None:
        alike = ["submission__submitter", "submission__team", "base_model", "priority"]
        number = Window(RowNumber(), partition_by=alike, order_by=[F("queued_at"), F("pk")])
        queued = queued.annotate(number=number).filter(number__lte=at_a_time)
    columns = (
        "pk",
        "submission__submitter",
        "submission__team",
        "base_model",
        "priority",
        "queued_at",
        "submission",
    )
    return [Waiting(*row) for row in queued.values_list(*columns)]


def turns_of_late() -> Turns:
    """The turns of the last day."""
    started = Evaluation.objects.filter(started_at__gt=timezone.now() - MEMORY).exclude(
        status=Evaluation.Status.QUEUED
    )
    had = (
        started.filter(priority__gte=0)
        .order_by()
        .values_list("submission__submitter", "submission__team")
        .annotate(
            began=Max("round_began_at"),
            last=Max("started_at", filter=Q(priority__lte=0)),
            staff=Max("started_at", filter=Q(priority__gt=0)),
        )
    )
    rows = list(had)
    beside = started.filter(priority__lt=0).order_by().values_list("submission__submitter", "submission")
    lately = list(beside.annotate(Max("started_at")))
    began = max((row[2] for row in rows if row[2]), default=None)
    return Turns(
        round_began=began,
        had_theirs=frozenset(user for user, _, theirs, _, _ in rows if theirs and theirs == began),
        teams={(user, team): last for user, team, _, last, _ in rows if last},
        staff_was_last=max((row[4] for row in rows if row[4]), default=_NEVER)
        > max((row[3] for row in rows if row[3]), default=_NEVER),
        beside={user: last for user, _, last in sorted(lately, key=lambda row: row[2])},
        begun=frozenset(submission for _, submission, _ in lately),
    )


def _beside(waiting: list[Waiting], turns: Turns, cold: Callable[[Waiting], bool]) -> Iterator[Waiting]:
    """What is behind all else, in its order."""
    numbers: dict[int, int] = defaultdict(int)
    keys: dict[int, tuple[object, ...]] = {}
    for one in sorted(waiting, key=lambda one: (one.queued_at, one.pk)):
        goes_on = one.submission in turns.begun and not cold(one)
        number = 0 if goes_on else numbers[one.user]
        numbers[one.user] += not goes_on
        last = turns.beside.get(one.user, _NEVER)
        keys[one.pk] = (not goes_on, number, last, cold(one), one.queued_at, one.pk)
    return iter(sorted(waiting, key=lambda one: keys[one.pk]))


def _by_team(
    theirs: list[Waiting], turns: Turns, within_team: Callable[[Waiting], tuple[object, ...]]
) -> Iterator[Waiting]:
    """A user's, by turns between their teams, the one that had a turn longest ago first."""
    of_teams: dict[int, list[Waiting]] = defaultdict(list)
    for one in theirs:
        of_teams[one.team].append(one)
    for team in of_teams.values():
        team.sort(key=within_team)
    teams = sorted(
        of_teams.values(),
        key=lambda team: (turns.teams.get((team[0].user, team[0].team), _NEVER), within_team(team[0])),
    )
    return (one for together in zip_longest(*teams) for one in together if one is not None)
