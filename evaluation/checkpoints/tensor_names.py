"""Names of the tensors in a LoRA adapter, in the spellings of all PEFT generations."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

PREFIX = "base_model.model."


class Part(StrEnum):
    """The role of a tensor on its module."""

    A = "lora_A"
    B = "lora_B"
    EMBEDDING_A = "lora_embedding_A"
    EMBEDDING_B = "lora_embedding_B"
    MAGNITUDE = "lora_magnitude_vector"


# What PEFT 0.21 loads after each part: first the spelling it writes, then older ones.
_ENDINGS = {
    Part.A: (".weight", ".default.weight"),
    Part.B: (".weight", ".default.weight"),
    Part.EMBEDDING_A: ("", ".default"),
    Part.EMBEDDING_B: ("", ".default"),
    Part.MAGNITUDE: ("", ".weight", ".default.weight"),
}
_NAME = re.compile(rf"{re.escape(PREFIX)}(?P<module>[\w.\-]+?)\.(?P<part>{'|'.join(Part)})(?P<ending>[\w.]*)")


@dataclass(frozen=True, slots=True)
class LoraName:
    """`module` is the base model's module as its `named_modules` calls it."""

    module: str
    part: Part

    def __str__(self) -> str:
        """The spelling that PEFT 0.21 writes."""
        return f"{PREFIX}{self.module}.{self.part}{_ENDINGS[self.part][0]}"


def parse_name(name: str) -> LoraName | None:
    """None when `name` is not that of a LoRA tensor which PEFT loads."""
    match = _NAME.fullmatch(name)
    if match is None or match["ending"] not in _ENDINGS[Part(match["part"])]:
        return None
    return LoraName(match["module"], Part(match["part"]))


def canonical_name(name: str) -> str:
    """`name` as PEFT 0.21 writes it; other than LoRA names come back unchanged.

    The older `.default` spelling loads only into an adapter that is called "default".
    """
    return str(parse_name(name) or name)
