"""The rules that bind submissions to this site: its protocol's, with the operator's limits."""

from __future__ import annotations

from django.conf import settings

from evaluation import rules
from evaluation.rules import Rules
from evaluation.rules.base_size import LARGEST_BASE_PARAMETERS
from evaluation.rules.challenges import CHALLENGES


def site_rules(challenge: str) -> Rules:
    """Raises UnknownNameError where there is no such challenge."""
    limits = settings.BASE_MODEL_MAX_PARAMETERS
    limit = limits.get(challenge, LARGEST_BASE_PARAMETERS)
    return rules.of(challenge, settings.LEADERBOARD_PROTOCOLS[0], max_base_parameters=limit)


def all_site_rules() -> tuple[Rules, ...]:
    """Every challenge's, in board order."""
    return tuple(map(site_rules, CHALLENGES))
