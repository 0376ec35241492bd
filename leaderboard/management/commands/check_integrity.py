"""`manage.py check_integrity`: whether files, answers, scores, boards and log are what the database says."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from evaluation.rules.challenges import CHALLENGES
from leaderboard.reading import snapshots
from portal.management import integrity
from portal.transparency import checking


class Command(BaseCommand):
    help = (
        "Read every stored file and every score's single answers, recount scores, build every board, and "
        "recompute the log. One line for each problem, and exit status 1 where there is one. Files that "
        "nothing speaks of are listed."
    )

    # Of a restored site: files that were deleted while its backup was made, each of which has been told.
    stealth_options = ("without",)

    def handle(self, *args: Any, without: Collection[str] = (), **options: Any) -> None:
        problems = 0
        for problem in _problems(without):
            problems += 1
            self.stdout.write(f"problem: {problem}")
        for name in integrity.orphans():
            self.stdout.write(f"orphan: {name}")
        if problems:
            raise CommandError(f"{problems} problems")
        self.stdout.write("Files, single answers, scores, boards and log are sound.")


def _problems(without: Collection[str]) -> Iterator[str]:
    yield from integrity.wrong_files(without)
    yield from integrity.wrong_items(without)
    yield from integrity.wrong_scores()
    for challenge in CHALLENGES:
        for protocol in snapshots.checked(challenge).protocols:
            # Twice: an entry may have come between the two boards.
            if not _is_as_shown(challenge, protocol) and not _is_as_shown(challenge, protocol):
                yield f"the board {challenge} under protocol {protocol} is shown otherwise than its rows say"
    yield from checking.problems()


def _is_as_shown(challenge: str, protocol: int) -> bool:
    shown, built = snapshots.checked(challenge, protocol), snapshots.afresh(challenge, protocol)
    return _places(shown) == _places(built)


def _places(snapshot: snapshots.Snapshot) -> list[tuple[object, ...]]:
    """Names of teams and models are left out: a board may show older ones for a while."""
    return [
        (one.entry.id, one.track, one.rank, one.rank_range, one.tie_group, one.entry.scores)
        for one in snapshot.standings
    ]
