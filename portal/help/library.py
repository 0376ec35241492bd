"""Which documents of docs/ the site shows, in which order, and what each is for.

The files there are the only source. They are read once in a process, as its templates are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from portal.environment import PROJECT_ROOT
from portal.help.markdown import Document, render

FOLDER = PROJECT_ROOT / "docs"


@dataclass(frozen=True)
class Listing:
    """A file of docs/ by its name without the ending, and a line on what is in it."""

    slug: str
    about: str


@dataclass(frozen=True)
class Group:
    title: str
    listings: tuple[Listing, ...]


GROUPS = (
    Group(
        "Submit",
        (
            Listing("tutorial", "Every step once, on one machine and without a model hub."),
            Listing("submitting", "Three files, what is checked, what happens then, limits."),
            Listing("client", "Check, submit and follow from a terminal or CI."),
            Listing("accounts", "Signing up and in, a second factor, your data."),
            Listing("teams", "Working together, and tokens for programs."),
        ),
    ),
    Group(
        "Read the boards",
        (
            Listing("leaderboard", "Places as ranges, sections, filters, files, protocols."),
            Listing("entries", "Charts, single answers, comparisons, badges to embed."),
            Listing("statements", "Signed results, the public log, and how to check both anywhere."),
            Listing("exports", "Results in other formats, and all public data as files."),
            Listing("glossary", "The words of federated learning and of this site."),
        ),
    ),
    Group(
        "Program against the site",
        (
            Listing("api", "From an adapter to scores with curl, drafts, errors, rates."),
            Listing("uploads", "Large files in pieces that survive a broken connection."),
            Listing("webhooks", "Being told when something happens, signed."),
        ),
    ),
    Group(
        "Evaluate and train yourself",
        (
            Listing("evaluation", "From nothing to a result that you can defend, and its statistics."),
            Listing("data", "Benchmark rows: from the hub, from a folder, and which are official."),
            Listing("engines", "Which models are evaluated, and how wrong answers are kept out."),
            Listing("baselines", "Federated training with Flower: strategies, settings, several machines."),
        ),
    ),
    Group(
        "Run a site",
        (
            Listing("operating", "From one machine to many workers, settings, outages."),
            Listing("reviewing", "The review desk: how a case is read and decided."),
            Listing("review-rules", "Who may decide what, and what the database keeps."),
            Listing("sandbox", "How programs that a model wrote are run."),
            Listing("performance", "What was measured, and how to measure it again."),
            Listing("scaling", "What breaks first with many entries, and what to do."),
        ),
    ),
)
LISTINGS = MappingProxyType({listing.slug: listing for group in GROUPS for listing in group.listings})
GROUP_OF = MappingProxyType({listing.slug: group for group in GROUPS for listing in group.listings})


@cache
def documents() -> MappingProxyType[str, Document]:
    """All of them, by slug, in their order."""
    sources = {slug: (FOLDER / f"{slug}.md").read_text(encoding="utf-8") for slug in LISTINGS}
    return MappingProxyType({slug: render(slug, source, LISTINGS) for slug, source in sources.items()})


def neighbours(slug: str) -> tuple[Document | None, Document | None]:
    """The documents before and after it."""
    shown = list(documents().values())
    place = list(LISTINGS).index(slug)
    return (shown[place - 1] if place else None, shown[place + 1] if place + 1 < len(shown) else None)
