"""The public page of a team: what it published, and those of its members who want to be named."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from evaluation.rules.challenges import CHALLENGES, Challenge
from leaderboard.reading import snapshots
from leaderboard.reading.queries import read
from leaderboard.standing.entries import Entry, Standing, Track
from leaderboard.standing.ranking import track_of
from portal.accounts.access import sees_all
from portal.accounts.models import Team, User
from portal.submissions.models import Submission, SubmissionQuerySet


@dataclass(frozen=True)
class TeamEntry:
    """An entry of the team; `standing` is None where it was not evaluated under the site's own protocol, and
    then `protocol` is the one that its figures are of, else 0."""

    challenge: Challenge
    entry: Entry
    track: str
    standing: Standing | None

    @property
    def protocol(self) -> int:
        return 0 if self.entry.protocol == settings.LEADERBOARD_PROTOCOLS[0] else self.entry.protocol


@require_safe
def team(request: HttpRequest, pk: int) -> HttpResponse:
    """404 for a team that never published, but for its members: names of others' teams stay private."""
    team = get_object_or_404(Team, pk=pk)
    published = Submission.objects.filter(team=team, status=Submission.Status.PUBLISHED)
    is_member = request.user.is_authenticated and team.memberships.filter(user=request.user).exists()
    if not (is_member or sees_all(request.user)):
        get_object_or_404(Team.objects.filter(submissions__status__in=Submission.PUBLIC).distinct(), pk=pk)
    entries = _entries(published)
    context = {
        "team": team,
        "entries": [row for row in entries if row.track != Track.DECLARED],
        "declared": [row for row in entries if row.track == Track.DECLARED],
        "people": User.objects.filter(memberships__team=team, shown_in_teams=True, is_active=True).order_by(
            "full_name", "username"
        ),
        "is_member": is_member,
        "section": "boards",
    }
    return render(request, "leaderboard/team.html", context)


def _entries(published: SubmissionQuerySet) -> list[TeamEntry]:
    """All entries in the order of the challenges, the newest first."""
    entries = sorted(read(published).entries, key=lambda entry: (entry.published_at, entry.id), reverse=True)
    found = []
    for challenge in CHALLENGES.values():
        own = [entry for entry in entries if entry.challenge == challenge.slug]
        places = snapshots.current(challenge.slug).by_id if own else {}
        found += [TeamEntry(challenge, entry, track_of(entry).value, places.get(entry.id)) for entry in own]
    return found
