"""The Celery tasks of the boards: built when something changed, so that no reader waits for it."""

from __future__ import annotations

from evaluation.rules.challenges import CHALLENGES
from leaderboard.reading import snapshots
from portal.queues import BUILD_BOARDS, app


@app.task(name=BUILD_BOARDS)
def build_boards() -> None:
    """Build the boards that changed."""
    for challenge in CHALLENGES:
        for protocol in snapshots.checked(challenge).protocols:
            snapshots.checked(challenge, protocol)


@app.task(name="leaderboard.tasks.renew_boards")
def renew_boards() -> None:
    """Build all boards anew: the names of teams and base models may have changed."""
    for challenge in CHALLENGES:
        for protocol in snapshots.checked(challenge).protocols:
            snapshots.renew(challenge, protocol)
