"""How large a base model may be: the limit of each challenge, and the size that a model's name states."""

from __future__ import annotations

import re
from collections.abc import Mapping

from evaluation.rules.challenges import CHALLENGES

LARGEST_BASE_PARAMETERS = 24_000_000_000
"""The benchmark states no limit on base models; the largest in its paper has 24 billion parameters."""

_SIZE = re.compile(r"(?<![\w.])(?P<number>\d{1,4}(?:\.\d{1,3})?) ?(?P<unit>[bm])(?![a-z])", re.IGNORECASE)


def named_size(base_model: str) -> int | None:
    """The number of parameters that a base model's name gives: 7B, 135M, 1.5b; None when it gives none."""
    match = _SIZE.search(re.sub(r"[-_/]", " ", base_model))
    if match is None:
        return None
    return round(float(match["number"]) * (10**9 if match["unit"] in "bB" else 10**6))


def read_limits(text: str) -> Mapping[str, int]:
    """Each challenge's limit, of a text like `24B` or `24B, code=13000000000`.

    The one without a name is for all others; where there is none, that is `LARGEST_BASE_PARAMETERS`. Raises
    ValueError.
    """
    stated: dict[str, int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        challenge, _, amount = part.rpartition("=")
        challenge, amount = challenge.strip(), amount.strip()
        parameters = int(amount) if re.fullmatch(r"[0-9]{1,18}", amount) else _whole_size(amount)
        if not parameters or challenge in stated or (challenge and challenge not in CHALLENGES):
            raise ValueError(
                f"“{part}” is no limit: write a number of parameters like 24000000000 or 24B, after it those "
                f"of single challenges like code=13B. The challenges are {', '.join(CHALLENGES)}"
            )
        stated[challenge] = parameters
    others = stated.get("", LARGEST_BASE_PARAMETERS)
    return {challenge: stated.get(challenge, others) for challenge in CHALLENGES}


def _whole_size(text: str) -> int | None:
    return named_size(text) if re.fullmatch(r"[0-9.]+ ?[bBmM]", text) else None
