"""How a training row is written for the model: its template, and which columns are the instruction.

`alpaca` is the form of FlowerTune's public apps, of which each takes the instruction from other columns;
`fingpt` is the form of the finance benchmarks' prompts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

TEMPLATES: Mapping[str, str] = MappingProxyType({"alpaca": "Alpaca", "fingpt": "FinGPT"})
"""The templates' titles by name."""

BOTH = ("instruction", "input")
COLUMN_CHOICES = (BOTH, ("instruction",), ("input",))
"""What the instruction can be made of; several columns have a blank between them."""

_BY_CHALLENGE = {"general-nlp": ("instruction",), "finance": BOTH, "medical": ("input",), "code": BOTH}
_SENTENCE = (
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request."
)
RESPONSE_HEADING = "\n### Response:"


def columns_of(challenge: str) -> tuple[str, ...]:
    """The columns that the challenge's public app makes the instruction of."""
    return _BY_CHALLENGE.get(challenge, BOTH)


@dataclass(frozen=True)
class RowForm:
    """One form of a row. `columns` are those of the instruction; FinGPT's form always has both.

    `learn_end`: the end token after the answer is learnt. The public apps pad with it and mask it.
    """

    template: str
    columns: tuple[str, ...] = BOTH
    learn_end: bool = False

    def prompt(self, instruction: str, more: str) -> str:
        """What stands before the answer, the blank between both included; `more` is the column `input`."""
        if self.template == "fingpt":
            middle = f"Input: {more}\n" if more else ""
            return f"Instruction: {instruction}\n{middle}Answer: "
        values = {"instruction": instruction, "input": more}
        asked = " ".join(values[column] for column in self.columns)
        return f"{_SENTENCE}\n### Instruction:\n{asked}{RESPONSE_HEADING} "


def form_text(template: str, columns: tuple[str, ...] | None) -> str:
    """A form for people."""
    title = TEMPLATES.get(template, template)
    return f"{title}, instruction from {' + '.join(columns)}" if columns and template == "alpaca" else title


def deviations_text(learn_end: bool | None, draw_anew: bool | None, group_by_length: bool | None) -> str:
    """What a run does that the public apps do not, for people; "" where it is nothing or not known."""
    texts = (
        (learn_end, "end token learnt"),
        (draw_anew, "rows drawn anew each round"),
        (group_by_length, "batches of like length"),
    )
    return ", ".join(text for does, text in texts if does)
