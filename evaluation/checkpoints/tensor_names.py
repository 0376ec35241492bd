"""Names of an adapter's tensors, in the spellings of all PEFT generations."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from evaluation import adapter_kinds as kinds
from evaluation.adapter_kinds import Part

PREFIX = "base_model.model."


@dataclass(frozen=True, slots=True)
class AdapterTensor:
    """`module` is the base model's module as its `named_modules` calls it."""

    module: str
    part: Part

    def __str__(self) -> str:
        """The spelling that PEFT 0.21 writes."""
        return f"{PREFIX}{self.module}.{self.part.name}{self.part.endings[0]}"


def parse_name(name: str) -> AdapterTensor | None:
    """None when `name` is not that of a tensor which PEFT loads into an adapter of a known kind."""
    parts = kinds.parts()
    match = _pattern(tuple(parts)).fullmatch(name)
    if match is None or match["ending"] not in parts[match["part"]].endings:
        return None
    return AdapterTensor(match["module"], parts[match["part"]])


@cache
def _pattern(parts: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(
        rf"{re.escape(PREFIX)}(?P<module>[\w.\-]+?)\.(?P<part>{'|'.join(parts)})(?P<ending>[\w.]*)"
    )


def canonical_name(name: str) -> str:
    """`name` as PEFT 0.21 writes it; other than adapters' names come back unchanged.

    The older `.default` spelling loads only into an adapter that is called "default".
    """
    return str(parse_name(name) or name)
