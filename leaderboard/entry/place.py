"""Where an entry stands: on its board, or where it would be placed, and the board that this was read from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from django.utils import timezone

from evaluation import rules
from evaluation.benchmarks import BENCHMARKS
from evaluation.rules.protocol import PUBLIC
from leaderboard.charts.inputs import Peers
from leaderboard.entry import facts
from leaderboard.reading import snapshots
from leaderboard.reading.kept import Kind
from leaderboard.reading.queries import entry_of
from leaderboard.reading.snapshots import Snapshot
from leaderboard.standing.entries import Entry, Standing
from leaderboard.standing.ranking import track_of
from leaderboard.standing.would_be import WouldBe, would_be
from portal.submissions.models import Submission

_PLACES = Kind("places", dict[str, facts.Place], number=1, seconds=86_400)


@dataclass(frozen=True)
class Place:
    """An entry with its figures under the protocol of `board` and its place there, which a disqualified one
    does not have, and one that is not published would take."""

    entry: Entry
    standing: Standing
    board: Snapshot
    is_on_board: bool
    is_disqualified: bool
    would_be: WouldBe | None = None
    """Of one that is not published."""

    @classmethod
    def of(cls, submission: Submission, protocol: int | None = None) -> Place:
        """Under a protocol; for None under the site's own, else under the newest that there is.

        Raises LookupError where there is nothing to show.
        """
        board = snapshots.current(submission.challenge, protocol)
        if known := board.by_id.get(submission.pk):
            return cls(known.entry, known, board, True, False)
        entry = entry_of(submission.pk, protocol)
        board = snapshots.current(submission.challenge, entry.protocol or PUBLIC.number)
        if known := board.by_id.get(submission.pk):
            return cls(known.entry, known, board, True, False)
        if submission.status not in Submission.PUBLIC:
            benchmarks = rules.of(entry.challenge, board.protocol).benchmarks
            place = would_be(replace(entry, published_at=timezone.now()), board.standings, benchmarks)
            return cls(place.standing.entry, place.standing, board, False, False, place)
        is_disqualified = submission.status == Submission.Status.DISQUALIFIED
        return cls(entry, Standing(entry, track_of(entry), None), board, False, is_disqualified)

    @property
    def protocol(self) -> int:
        return self.board.protocol

    @property
    def key(self) -> str:
        """Of what is drawn from the entry and its board, which does not change with the scores of an entry
        that is not on it."""
        known = f"{self.entry.challenge}:{self.board.version}:{self.entry.id}"
        if self.is_on_board:
            return known
        return f"{known}:{hashlib.sha256(repr(self.entry.scores).encode()).hexdigest()[:24]}"

    def places(self) -> dict[str, facts.Place]:
        """By benchmark, kept until the board changes: it goes over all entries."""
        return _PLACES.get_or_make(
            self.key,
            lambda: facts.places(self.entry, facts.peers_of(self.standing, self.board)),
        )

    def profile(self) -> tuple[Entry, Peers, dict[str, str]]:
        """What its profile is drawn from."""
        peers = facts.peers_of(self.standing, self.board)
        benchmarks = rules.of(self.entry.challenge, self.protocol).benchmarks
        titles = {slug: BENCHMARKS[slug].title for slug in benchmarks}
        return self.entry, facts.profile_peers(self.entry, peers), titles
