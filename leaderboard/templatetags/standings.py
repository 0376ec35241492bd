"""Places and names of the board, for templates."""

from __future__ import annotations

from django import template

from evaluation.benchmarks import BENCHMARKS
from leaderboard import addresses
from leaderboard.board import columns
from leaderboard.standing.entries import Entry, Standing

register = template.Library()


@register.filter
def rank_text(standing: Standing) -> str:
    """The ranks that an entry may have, like 2–5; empty where it has none."""
    return columns.rank_text(standing)


@register.filter
def entry_page(entry: Entry) -> str:
    """The address of an entry's page with these figures."""
    return addresses.entry_page(entry.id, entry.protocol)


@register.filter
def under(path: str, protocol: int) -> str:
    """An address with the protocol, where that is not the site's own."""
    return addresses.under(path, protocol)


@register.filter
def model_size(entry: Entry) -> str:
    """The size of the base model, like 7.6B, or ≈7.0B where only its name states it."""
    return columns.size_text(entry)


@register.filter
def benchmark_title(slug: str) -> str:
    """The title of a benchmark; the slug itself of one that is no longer known."""
    return BENCHMARKS[slug].title if slug in BENCHMARKS else slug
