"""A board that is built from the one before is the one that is read anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.utils import timezone

from leaderboard.reading import growth, snapshot_format, snapshots
from leaderboard.reading.kept import Kind
from leaderboard.reading.snapshot_format import BOARDS, Snapshot
from leaderboard.reading.snapshots import _Board
from portal.accounts.models import Team, User
from portal.intake import services
from portal.review.models import Decision
from portal.runs import reproductions, transfer
from portal.runs.models import Reproduction
from portal.submissions.models import DeclaredScore, Resource, Submission
from tests import second_protocol
from tests.leaderboard.test_seeds import run_of
from tests.portal import factories
from tests.portal.baselines import original_with, retrained_with
from tests.portal.test_leakage import entry as leaking
from tests.portal.test_leakage import measured as leakage_measured
from tests.portal.test_transfer import entry as evaluated_in_4_bits
from tests.portal.test_transfer import measure_all, right

pytestmark = pytest.mark.django_db
FINANCE = _Board("finance", 1)


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each build whether it was from the board before."""
    builds: list[bool] = []
    whole = growth.grown

    def noted(*arguments: Any) -> Any:
        found = whole(*arguments)
        builds.append(found is not None)
        return found

    monkeypatch.setattr(growth, "grown", noted)
    return builds


@pytest.fixture(autouse=True)
def board(owner: User, reviewer: User, built: list[bool]) -> None:
    """An untuned model and two entries."""
    untuned = factories.submission(owner, kind=Submission.Kind.REFERENCE, files=None, method="untuned")
    factories.publish(factories.evaluate(untuned, correct=40))
    original_with(owner, 60)
    factories.published(owner, correct=50)
    snapshots.checked("finance")
    built.clear()


def renewed() -> Snapshot:
    """The board now, which is that read from the database."""
    found = snapshots.checked("finance")
    afresh = snapshots.afresh("finance")
    assert found.standings == afresh.standings
    assert found.version == afresh.version
    return found


def entry(method: str = "FedAvg") -> Submission:
    return Submission.objects.filter(method=method, status="published").earliest("pk")


def published(owner: User, reviewer: User) -> None:
    factories.published(owner, correct=90)


def further_run(owner: User, reviewer: User) -> None:
    run_of(owner, 77, run_of(owner, 70))


def withdrawn(owner: User, reviewer: User) -> None:
    services.withdraw(entry())


def disqualified(owner: User, reviewer: User) -> None:
    factories.review(entry(), reviewer, Decision.Action.DISQUALIFY, reason="Trained on the test set.")


def evaluated_again(owner: User, reviewer: User) -> None:
    factories.evaluate_again(entry(), correct=80)


def declared(owner: User, reviewer: User) -> None:
    made = Submission.objects.create(
        team=entry().team,
        submitter=owner,
        challenge="finance",
        kind=Submission.Kind.IMPORTED,
        method="Declared",
        base_model=entry().base_model,
        status=Submission.Status.PUBLISHED,
        published_at=timezone.now(),
        status_changed_at=timezone.now(),
    )
    DeclaredScore.objects.create(submission=made, benchmark="fpb", value=0.5, decimals=0)


def handed_over(owner: User, reviewer: User) -> None:
    declared(owner, reviewer)
    snapshots.checked("finance")
    Submission.objects.filter(method="Declared").update(team=Team.objects.create(name="Another"))


@pytest.mark.parametrize(
    "happens", [published, further_run, withdrawn, disqualified, evaluated_again, handed_over, declared]
)
def test_what_changed_alone_is_read(
    happens: Callable[[User, User], None], built: list[bool], owner: User, reviewer: User
) -> None:
    happens(owner, reviewer)
    renewed()
    published(owner, reviewer)
    renewed()
    assert built and all(built)


def test_a_run_that_joins_others_makes_their_mean_anew(built: list[bool], owner: User) -> None:
    first = run_of(owner, 70)
    renewed()
    for correct in (72, 77):
        run_of(owner, correct, first)
        renewed()
    services.withdraw(first)
    (mean,) = [standing.entry for standing in renewed().standings if standing.entry.runs]
    assert len(mean.runs) == 2
    assert built == [True] * 4


def test_a_verdict_and_taking_it_back_are_told(built: list[bool], owner: User, reviewer: User) -> None:
    retrained = retrained_with(reviewer, entry(), 30)
    factories.publish(Reproduction.objects.get(run=retrained).retrained)
    comparison = Reproduction.objects.get(run=retrained)
    renewed()
    for verdict in (Reproduction.Verdict.CONFIRMED, Reproduction.Verdict.SET_ASIDE):
        reproductions.judge(comparison, judge=reviewer, verdict=verdict, reason="Other rows.")
        renewed()
    assert built == [True] * 3


@pytest.mark.parametrize("leaves", [False, True])
def test_gains_follow_when_an_untuned_model_comes_or_goes(
    built: list[bool], owner: User, reviewer: User, *, leaves: bool
) -> None:
    if leaves:
        services.withdraw(entry("untuned"))
    else:
        factories.evaluate_again(entry("untuned"), correct=45)
    gains = {standing.entry.gain for standing in renewed().standings if standing.entry.adapted}
    assert (gains == {None}) is leaves
    assert not any(built)


def test_what_is_measured_beside_the_boards_has_all_read(built: list[bool], owner: User) -> None:
    transfer.ask(evaluated_in_4_bits(owner))
    renewed()
    built.clear()
    measure_all(right)
    assert any(standing.entry.transfer for standing in renewed().standings)
    assert built == []
    factories.published(owner, correct=90)
    renewed()
    assert built == [True]


def test_what_an_untuned_model_scores_on_another_board_has_all_read(built: list[bool], owner: User) -> None:
    made = evaluated_in_4_bits(owner)
    transfer.ask(made)
    measure_all(right)
    before = renewed().by_id[made.pk].entry.transfer
    untuned = factories.submission(
        owner, challenge="medical", kind=Submission.Kind.REFERENCE, files=None, method="untuned"
    )
    measure_all(lambda _: 20)
    untuned.refresh_from_db()
    factories.publish(untuned)
    assert renewed().by_id[made.pk].entry.transfer != before
    services.withdraw(untuned)
    assert renewed().by_id[made.pk].entry.transfer == before
    assert not any(built)


def test_what_leaks_is_told_under_every_protocol(
    monkeypatch: pytest.MonkeyPatch, owner: User, reviewer: User
) -> None:
    second_protocol.register(monkeypatch)
    made, other = leaking(owner), entry()
    for one in (made, other):
        factories.evaluate_again(one, correct=80, protocol=2)
    snapshots.checked("finance", 2)
    leakage_measured(made)
    assert snapshots.checked("finance", 2).by_id[made.pk].entry.leakage
    factories.evaluate_again(other, correct=85, protocol=2)
    assert snapshots.checked("finance", 2).version == snapshots.afresh("finance", 2).version


def test_the_version_does_not_tell_in_which_order_the_database_has_costs(owner: User) -> None:
    kinds = [Resource.Kind.WALL_TIME, Resource.Kind.ENERGY]
    costs = [services.Cost(kind, 1.0, Resource.Basis.MEASURED) for kind in kinds]
    made = factories.published(owner, correct=90, costs=costs)
    assert list(made.resources.order_by("pk").values_list("kind", flat=True))[:2] == kinds
    found = list(renewed().by_id[made.pk].entry.resources)
    assert found == sorted(found)


def test_too_many_changes_have_all_read(
    monkeypatch: pytest.MonkeyPatch, built: list[bool], owner: User
) -> None:
    monkeypatch.setattr(growth, "_MOST", 1)
    for correct in (31, 32):
        factories.published(owner, correct=correct)
    renewed()
    assert built == [False]


def test_what_another_process_evaluated_is_read(built: list[bool], owner: User) -> None:
    mine = dict(snapshots._answers[FINANCE])
    factories.published(owner, correct=90)
    renewed()
    snapshots._answers[FINANCE] = mine  # this process did not build the board that stands
    factories.published(owner, correct=80)
    renewed()
    assert built == [True, True]


def test_a_process_that_built_no_board_reads_all(built: list[bool], owner: User) -> None:
    del snapshots._answers[FINANCE]
    factories.published(owner, correct=90)
    renewed()
    assert built == []


def test_other_processes_read_the_parts_that_changed(monkeypatch: pytest.MonkeyPatch, owner: User) -> None:
    monkeypatch.setattr(snapshot_format, "_STRETCH", 1)
    known = snapshots.renew("finance")
    made = factories.published(owner, correct=90)
    last = renewed()
    read: list[str] = []
    get = Kind.get

    def noted(self: Kind[Any], of: str) -> Any:
        read.append(of)
        return get(self, of)

    monkeypatch.setattr(Kind, "get", noted)
    found = BOARDS.get("finance:1", known)
    assert found and found.version == last.version and found.standings == last.standings
    assert read == ["finance:1", f"finance:1:{made.pk}"]


def test_a_part_that_the_cache_lost_is_put_there_again(owner: User) -> None:
    part = next(iter(snapshots.checked("finance").parts))
    BOARDS.parts.drop(f"finance:1:{part}")
    assert BOARDS.get("finance:1") is None
    snapshots._known.clear()  # another process
    renewed()
    assert BOARDS.get("finance:1")
    BOARDS.parts.drop(f"finance:1:{part}")
    factories.published(owner, correct=90)
    renewed()
    assert BOARDS.get("finance:1")


def test_a_renewal_is_not_kept_while_another_process_keeps_the_board(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[bool] = []
    monkeypatch.setattr(snapshots, "_store", lambda *_: held.append(is_locked("code:1")))
    assert not is_locked("code:1")
    snapshots.renew("code")
    assert held == [True]


def is_locked(board: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
            " AND objid = (hashtext(%s)::bigint & 4294967295)::oid)",
            [board],
        )
        return bool(cursor.fetchone()[0])


def test_a_board_that_is_not_what_its_name_says_is_built_anew(owner: User) -> None:
    before = snapshots.checked("finance")
    factories.published(owner, correct=90)
    renewed()
    BOARDS.put("finance:1", before)  # by a process that was slower
    snapshots._known.clear()
    renewed()


def test_a_board_that_is_being_replaced_is_not_read_half(owner: User) -> None:
    before = cache.get(BOARDS.index.key("finance:1"))
    factories.published(owner, correct=90)
    renewed()
    cache.set(BOARDS.index.key("finance:1"), before, None)  # its parts are those of the next board
    assert BOARDS.get("finance:1") is None
