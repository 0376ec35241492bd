"""A submission's base model: what is known of it, and whether it is too large for the challenge."""

from __future__ import annotations

from dataclasses import dataclass

from evaluation.checkpoints import BaseModelTensors
from evaluation.findings import FindingCollector, excerpt
from evaluation.rules.base_size import named_size

SELECTED = "base_model"
"""Where findings on the base model that was selected are, as forms and the API call the choice."""


@dataclass(frozen=True)
class KnownBase:
    """What is known of the base model: its hub id and commit as selected, its size, its weights' shapes.

    `aliases` are other names that it has, on the hub or elsewhere.
    """

    hub_id: str | None = None
    revision: str | None = None
    parameters: int | None = None
    tensors: BaseModelTensors | None = None
    aliases: tuple[str, ...] = ()

    @property
    def size(self) -> int | None:
        """The number of parameters."""
        return self.tensors.parameters if self.parameters is None and self.tensors else self.parameters


def check_base_size(
    base_model: str | None, parameters: int | None, limit: int, findings: FindingCollector, place: str
) -> None:
    """Report a base model of more than `limit` parameters.

    With the true number of `parameters` that is an error; without it the name's figure gives a warning,
    since it is rounded.
    """
    if parameters is not None and parameters > limit:
        message = f"The base model has {parameters:,} parameters; the limit is {limit:,}. Choose another."
        findings.error("config.base_model_size", message, place)
    elif parameters is None and base_model and (named := named_size(base_model) or 0) > limit:
        message = (
            f'By its name "{excerpt(base_model)}" has some {named:,} parameters, the limit is {limit:,}. '
            "Choose a smaller one."
        )
        findings.warning("config.base_model_size", message, place)
