"""The rules that bind submissions to this site: the current protocol's, with the operator's limits."""

from __future__ import annotations

from django.conf import settings

from evaluation import rules
from evaluation.rules import Rules
from evaluation.rules.base_size import LARGEST_BASE_PARAMETERS
from evaluation.rules.challenges import CHALLENGES


def site_rules(challenge: str) -> Rules:
    """Raises UnknownNameError where there is no such challenge."""
    limits = settings.BASE_MODEL_MAX_PARAMETERS
    return rules.of(challenge, max_base_parameters=limits.get(challenge, LARGEST_BASE_PARAMETERS))


def all_site_rules() -> tuple[Rules, ...]:
    """Every challenge's, in board order."""
    return tuple(map(site_rules, CHALLENGES))
