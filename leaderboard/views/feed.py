"""Atom feeds of what is published: over all challenges, and of each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.syndication.views import Feed
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.feedgenerator import Atom1Feed
from django.utils.html import escape
from django.views.decorators.http import conditional_page, require_safe

from evaluation.rules.challenges import CHALLENGES, Challenge
from leaderboard.addresses import asked_protocol, entry_page, protocol_query, under
from leaderboard.board.columns import rank_text
from leaderboard.figures import percent, percent_range
from leaderboard.markup import xml_text
from leaderboard.reading import snapshots
from leaderboard.standing.entries import Entry, Standing
from leaderboard.standing.preference import without_demonstration
from portal.transparency.reading import Logged, logged

LENGTH = 50


@dataclass(frozen=True)
class Subject:
    """What a feed is of: one challenge or all, under a protocol."""

    challenge: Challenge | None
    protocol: int


@dataclass(frozen=True)
class Publication:
    """An entry's place, and where its statement is in the log; None where it is not there yet."""

    standing: Standing
    logged: Logged | None

    @property
    def entry(self) -> Entry:
        return self.standing.entry


class StatedFeed(Atom1Feed):
    """Atom that names of each entry its signed statement, and the head of the log that came with that."""

    def add_item_elements(self, handler: Any, item: Any) -> None:
        super().add_item_elements(handler, item)
        if head := item["log_head"]:
            link = {"rel": "describedby", "type": "application/json", "href": item["statement"]}
            handler.addQuickElement("link", "", link)
            handler.addQuickElement("log:head", head, {"xmlns:log": "urn:flowertune:log"})


class Publications(Feed):
    """The entries that are on the boards now, the newest first. Imported ones are no news of this site."""

    feed_type = StatedFeed
    subtitle = "Entries that were evaluated and published"

    def get_object(self, request: HttpRequest, slug: str | None = None) -> Subject:
        if slug is not None and slug not in CHALLENGES:
            raise Http404(f"no challenge {slug}")
        asked = asked_protocol(request.GET)
        return Subject(CHALLENGES[slug] if slug else None, asked or settings.LEADERBOARD_PROTOCOLS[0])

    def title(self, subject: Subject) -> str:
        challenge = f": {subject.challenge.title}" if subject.challenge else ""
        protocol = f", protocol {subject.protocol}" if protocol_query(subject.protocol) else ""
        return f"FlowerTune Leaderboard{challenge}{protocol}"

    def link(self, subject: Subject) -> str:
        if subject.challenge is None:
            return reverse("home")
        return under(reverse("leaderboard:board", args=[subject.challenge.slug]), subject.protocol)

    def feed_url(self, subject: Subject) -> str:
        challenge = subject.challenge
        path = reverse("challenge-feed", args=[challenge.slug]) if challenge else reverse("feed")
        return under(path, subject.protocol)

    def items(self, subject: Subject) -> list[Publication]:
        slugs = [subject.challenge.slug] if subject.challenge else list(CHALLENGES)
        boards = [snapshots.current(slug, subject.protocol) for slug in slugs]
        standings = without_demonstration(s for board in boards for s in board.standings if s.entry.protocol)
        standings.sort(key=lambda s: (s.entry.published_at, s.entry.id), reverse=True)
        newest = standings[:LENGTH]
        log = logged([standing.entry.id for standing in newest], subject.protocol)
        return [Publication(standing, log.get(standing.entry.id)) for standing in newest]

    def item_title(self, item: Any) -> str:
        return xml_text(f"{CHALLENGES[item.entry.challenge].title}: {item.entry.method}")

    def item_description(self, item: Any) -> str:
        entry = item.entry
        if entry.average is None or entry.interval is None:
            score = "not evaluated on every benchmark"
        else:
            score = f"average {percent(entry.average)}% (95% interval {percent_range(entry.interval)})"
        own = item.standing
        place = f"rank {rank_text(own)}" if own.rank else f"not ranked: {own.unranked_because}"
        track = "" if own.track == "official" else f" of the {own.track} entries" if own.rank else ""
        told = f"{entry.method} by {entry.team} on {entry.base_model}: {score}, {place}{track}."
        return escape(xml_text(told))  # readers take a summary for HTML

    def item_link(self, item: Any) -> str:
        return entry_page(item.entry.id, item.entry.protocol)

    def item_author_name(self, item: Any) -> str:
        return xml_text(item.entry.team)

    def item_pubdate(self, item: Any) -> datetime:
        published: datetime = item.entry.published_at
        return published

    item_updateddate = item_pubdate

    def item_extra_kwargs(self, item: Any) -> dict[str, Any]:
        entry, found = item.entry, item.logged
        statement = under(reverse("api-statement", args=[entry.id]), entry.protocol)
        return {"log_head": found.head if found else "", "statement": settings.SITE_URL + statement}

    def item_categories(self, item: Any) -> tuple[str, ...]:
        return (CHALLENGES[item.entry.challenge].title,)


_publications = Publications()


@require_safe
@conditional_page
def feed(request: HttpRequest, slug: str | None = None) -> HttpResponse:
    return _publications(request, slug=slug)
