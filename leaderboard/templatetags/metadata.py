"""What a page says of itself to search engines and to those who show links to it."""

from __future__ import annotations

from typing import Any

from django import template
from django.urls import reverse

from evaluation import rules
from evaluation.benchmarks import BENCHMARKS
from evaluation.rules.challenges import CHALLENGES, PAPER, Challenge
from leaderboard.addresses import entry_page, under
from leaderboard.board.exports import FORMATS
from leaderboard.entry.preview_cards import HEIGHT, WIDTH
from leaderboard.figures import percent
from leaderboard.markup import json_ld
from leaderboard.standing.entries import Entry
from portal.submissions.models import Submission

register = template.Library()
_PUBLISHER = {"@type": "Organization", "name": "FlowerTune Leaderboard"}


@register.inclusion_tag("leaderboard/_metadata.html", takes_context=True)
def board_metadata(context: dict[str, Any], challenge: Challenge, protocol: int) -> dict[str, Any]:
    """Open Graph and schema.org of a board."""
    site, title = context["site_url"], f"{challenge.title} leaderboard"
    description = (
        f"{challenge.summary} Federated fine-tuning of language models: every entry with the 95% interval of "
        "its scores and what its training cost."
    )
    url = site + under(reverse("leaderboard:board", args=[challenge.slug]), protocol)
    benchmarks = rules.of(challenge.slug, protocol).benchmarks
    data = _dataset(site, title, description, url) | {
        "isAccessibleForFree": True,
        "variableMeasured": [_variable(BENCHMARKS[slug].title) for slug in benchmarks],
        "distribution": [
            {
                "@type": "DataDownload",
                "encodingFormat": kind.content_type.partition(";")[0],
                "contentUrl": site
                + under(reverse(f"leaderboard:board-{form}", args=[challenge.slug]), protocol),
            }
            for form, kind in FORMATS.items()
        ],
    }
    picture = site + under(reverse("leaderboard:board-card", args=[challenge.slug]), protocol)
    return _context(title, description, url, picture, data)


@register.inclusion_tag("leaderboard/_metadata.html", takes_context=True)
def entry_metadata(context: dict[str, Any], entry: Entry) -> dict[str, Any]:
    """Open Graph and schema.org of an entry."""
    site, challenge = context["site_url"], CHALLENGES[entry.challenge]
    title = f"{entry.method} · {challenge.title}"
    if context["submission"].status == Submission.Status.DISQUALIFIED:
        return _disqualified(context, entry)
    known = "" if entry.average is None else f"{percent(entry.average)}% on average, "
    how = "as its team declares" if entry.protocol == 0 else "evaluated here"
    description = (
        f"{entry.method} by {entry.team} on {entry.base_model} in the {challenge.title} challenge: "
        f"{known}{how}."
    )
    url = site + entry_page(entry.id, entry.protocol)
    data = _dataset(site, title, description, url) | {
        "creator": {"@type": "Organization", "name": entry.team},
        "isPartOf": {
            "@type": "Dataset",
            "name": f"{challenge.title} leaderboard",
            "description": challenge.summary,
            "url": site + under(reverse("leaderboard:board", args=[challenge.slug]), entry.protocol),
        },
        "variableMeasured": [
            _variable(BENCHMARKS[score.benchmark].title, score.value, score.interval)
            for score in entry.scores
        ],
    }
    if entry.day:
        data["datePublished"] = entry.day.isoformat()
    picture = under(reverse("entry-card", args=[entry.id]), entry.protocol)
    return _context(title, description, url, site + picture, data)


def _disqualified(context: dict[str, Any], entry: Entry) -> dict[str, Any]:
    """What a link to a disqualified entry may say: that it is, and no figure."""
    challenge = CHALLENGES[entry.challenge]
    url = context["site_url"] + reverse("entry", args=[entry.id])
    description = f"This entry of the {challenge.title} challenge was disqualified."
    data = {"@context": "https://schema.org", "@type": "WebPage", "name": entry.method, "url": url}
    picture = context["site_url"] + reverse("entry-card", args=[entry.id])
    return _context(f"{entry.method}, disqualified", description, url, picture, data)


def _dataset(site: str, name: str, description: str, url: str) -> dict[str, Any]:
    return {
        "@context": "https://schema.org",
        "@type": "Dataset",
        "name": name,
        "description": description,
        "url": url,
        "creator": _PUBLISHER,
        "publisher": _PUBLISHER,
        "measurementTechnique": site + reverse("method"),
        "citation": f"https://arxiv.org/abs/{PAPER}",
    }


def _variable(
    name: str, value: float | None = None, interval: tuple[float, float] | None = None
) -> dict[str, Any]:
    variable: dict[str, Any] = {"@type": "PropertyValue", "name": f"{name}, share right", "unitText": "%"}
    if value is not None:
        variable["value"] = round(100 * value, 2)
    if interval is not None:
        variable |= {"minValue": round(100 * interval[0], 2), "maxValue": round(100 * interval[1], 2)}
    return variable


def _context(title: str, description: str, url: str, picture: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "title": title,
        "description": description,
        "url": url,
        "picture": picture,
        "width": WIDTH,
        "height": HEIGHT,
        "data": json_ld(data),
    }
