"""The queue's turns: between users, between a user's teams, and how often anybody can be passed over."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portal.accounts.models import Membership, Team, User
from portal.runs import fairness
from portal.runs import services as runs
from portal.runs.fairness import MOST_TURNS, Turns, Waiting, in_order
from portal.runs.models import Evaluation
from tests.portal import factories
from tests.profiles import examples

START = datetime(2026, 1, 1, tzinfo=UTC)


class Site:
    """The rule with its memory and a clock, without a database."""

    def __init__(self) -> None:
        self.waiting: list[Waiting] = []
        self.now, self.made = START, 0
        self.turns = Turns()

    def sends(self, user: int, team: int | None = None, *, base_model: int = 1, priority: int = 0) -> int:
        self.now += timedelta(seconds=1)
        self.made += 1
        team = user if team is None else team
        self.waiting.append(Waiting(self.made, user, team, base_model, priority, self.now))
        return self.made

    def claims(self, loaded: int | None = None) -> Waiting:
        self.now += timedelta(seconds=1)
        order = in_order(self.waiting, self.turns, now=self.now, loaded_base_model=loaded)
        first = order.waiting[0]
        self.waiting.remove(first)
        teams = {**self.turns.teams, (first.user, first.team): self.now}
        if first.priority > 0:
            self.turns = Turns(self.turns.round_began, self.turns.had_theirs, self.turns.teams, True)
        elif first.pk in order.in_this_round:
            had = self.turns.had_theirs | {first.user}
            self.turns = Turns(self.turns.round_began, had, teams)
        else:
            self.turns = Turns(self.now, frozenset({first.user}), teams)
        return first


def users(claimed: list[Waiting]) -> str:
    return "".join("abcdefgh"[one.user] for one in claimed)


class TestTurns:
    def test_users_take_turns_however_much_one_of_them_sent_before(self) -> None:
        site = Site()
        for user in (0, 0, 0, 0, 1, 1, 2):
            site.sends(user)
        assert users([site.claims() for _ in range(7)]) == "abcabaa"

    def test_a_user_with_ten_teams_is_one_user(self) -> None:
        site = Site()
        for team in range(10, 20):
            site.sends(0, team)
        for _ in range(3):
            site.sends(1)
        assert users([site.claims() for _ in range(6)]) == "ababab"

    def test_a_users_teams_take_turns_within_the_users(self) -> None:
        site = Site()
        for team in (10, 10, 10, 11, 12):
            site.sends(0, team)
        assert [site.claims().team for _ in range(5)] == [10, 11, 12, 10, 10]

    def test_who_comes_during_a_round_has_their_turn_in_the_next(self) -> None:
        site = Site()
        for user in (0, 0, 1, 1):
            site.sends(user)
        assert users([site.claims()]) == "a"
        site.sends(2)
        assert users([site.claims() for _ in range(4)]) == "babc"

    def test_the_loaded_base_model_goes_first_within_a_round_only(self) -> None:
        site = Site()
        site.sends(0, base_model=1)
        for user in (1, 1, 2):
            site.sends(user, base_model=2)
        assert users([site.claims(loaded=2) for _ in range(4)]) == "bcab"

    def test_within_a_team_the_loaded_base_model_goes_first_until_another_waited_long(self) -> None:
        site = Site()
        cold = site.sends(0, base_model=1)
        warm = [site.sends(0, base_model=2) for _ in range(2)]
        assert site.claims(loaded=2).pk == warm[0]
        site.now += fairness.OVERDUE
        assert [site.claims(loaded=2).pk, site.claims(loaded=2).pk] == [cold, warm[1]]

    def test_what_staff_asked_for_goes_first_but_at_most_every_other_time(self) -> None:
        site = Site()
        for user in (0, 1, 1):
            site.sends(user)
        for _ in range(3):
            site.sends(2, priority=1)
        assert users([site.claims() for _ in range(6)]) == "cacbcb"


Steps = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(0, 5), st.integers(0, 2), st.integers(0, 2)),
        st.tuples(st.just("claim"), st.integers(0, 2)),
        st.just(("pause",)),
    ),
    max_size=120,
)


class TestBound:
    @given(Steps)
    @settings(max_examples=examples(400), deadline=None)
    def test_nobody_who_waits_sees_another_user_have_more_than_two_turns(self, steps: list) -> None:
        """Whatever is sent by whom, for which model, and whatever the workers have loaded."""
        site = Site()
        since: dict[int, Counter[int]] = {}  # of each user who waits: the turns that others had meanwhile
        for step in [*steps, *[("claim", 0)] * len(steps)]:
            match step:
                case ("send", user, team, base_model):
                    site.sends(user, 10 * user + team, base_model=base_model)
                    since.setdefault(user, Counter())
                case ("claim", loaded) if site.waiting:
                    served = site.claims(loaded).user
                    del since[served]
                    for turns in since.values():
                        turns[served] += 1
                        assert turns[served] <= MOST_TURNS
                    if any(one.user == served for one in site.waiting):
                        since[served] = Counter()
                case ("pause",):
                    site.now += fairness.OVERDUE
        assert not site.waiting

    @given(Steps)
    @settings(max_examples=examples(100), deadline=None)
    def test_the_order_has_everything_that_waits_once(self, steps: list) -> None:
        site = Site()
        for step in steps:
            if step[0] == "send":
                site.sends(*step[1:3], base_model=step[3], priority=step[1] % 2)
        order = in_order(site.waiting, site.turns, now=site.now, loaded_base_model=1)
        assert sorted(one.pk for one in order.waiting) == sorted(one.pk for one in site.waiting)


def claim(worker: str = "a") -> Evaluation:
    claimed = runs.claim(worker=worker)
    assert claimed
    return claimed


@pytest.mark.django_db
class TestOnTheSite:
    def test_turns_go_between_users_and_their_teams(self, owner: User) -> None:
        second = Team.objects.create(name="second")
        Membership.objects.create(team=second, user=owner, role=Membership.Role.OWNER)
        other = factories.user("other")
        mine = [factories.submission(owner, method=f"m{number}") for number in range(2)]
        of_second = factories.submission(owner, team=second)
        theirs = factories.submission(other)
        order = [claim(f"w{number}").submission_id for number in range(4)]
        assert order == [mine[0].pk, theirs.pk, of_second.pk, mine[1].pk]

    def test_a_turn_that_was_given_back_was_not_had(self, owner: User) -> None:
        other = factories.user("other")
        for who in (owner, owner, other):
            factories.submission(who)
        first = claim()
        runs.give_back(first)
        assert claim().pk == first.pk

    def test_a_rerun_takes_no_turn_of_its_submitter(self, owner: User) -> None:
        other = factories.user("other")
        again = factories.evaluated(owner)
        waiting = [factories.submission(who).pk for who in (other, owner)]
        rerun = runs.enqueue(again, 1, priority=1)
        order = [claim(f"w{number}") for number in range(3)]
        assert order[0].pk == rerun.pk and order[0].round_began_at is None
        assert [one.submission_id for one in order[1:]] == waiting
