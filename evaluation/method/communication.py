"""What a federated run sends: derived from its adapter and configuration, declared, or read from its log.

The board counts adapter tensors only, both directions, with MB = 1024² and GB = 1024³ bytes. A round sends
the adapter to every sampled client and back (McMahan et al., arXiv 1602.05629).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from evaluation import adapter_kinds as kinds
from evaluation.checkpoints.base_model import BaseModelTensors, is_embedding, is_output_head
from evaluation.checkpoints.patterns import PatternError, full_matches
from evaluation.checkpoints.targets import ends_in, is_all_linear
from evaluation.findings import FindingCollector
from evaluation.method.card import MethodCard
from evaluation.method.strategies import on_card

MB = 1024**2
GB = 1024**3
FP32_BYTES = 4
DIRECTIONS = 2
# FlowerTune's apps send a tensor as NumPy's .npy, whose header takes 128 bytes; their log counts it.
TENSOR_FRAMING = 128
# Declared figures agree with derived ones up to framing, which on the smallest adapters in use (rank 8 on
# q and v of a model of 135 million parameters) is 0.8%, and up to the last digit they are printed with.
RELATIVE_TOLERANCE = 0.02

# The modules that PEFT puts LoRA on when a configuration names none, by the base model's type.
_QUERY_VALUE = ("q_proj", "v_proj")
_DEFAULT_TARGETS = {
    "bloom": ("query_key_value",), "chatglm": ("query_key_value",), "codegen": ("qkv_proj",),
    "falcon": ("query_key_value",), "gemma": _QUERY_VALUE, "gemma2": _QUERY_VALUE,
    "gemma3_text": _QUERY_VALUE, "gpt2": ("c_attn",), "gpt_bigcode": ("c_attn",), "gpt_neo": _QUERY_VALUE,
    "gpt_neox": ("query_key_value",), "gptj": _QUERY_VALUE, "llama": _QUERY_VALUE, "mistral": _QUERY_VALUE,
    "mixtral": _QUERY_VALUE, "mpt": ("Wqkv",), "opt": _QUERY_VALUE,
    "phi": ("q_proj", "v_proj", "fc1", "fc2"), "qwen2": _QUERY_VALUE, "qwen3": _QUERY_VALUE,
    "stablelm": _QUERY_VALUE,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Communication:
    """What a run's adapter tensors amount to on the wire; bytes, framing left out."""

    parameters: int
    clients_per_round: int
    rounds: int
    bytes_per_parameter: int = FP32_BYTES

    def __str__(self) -> str:
        """The product, written out for people."""
        return (
            f"{self.parameters:,} parameters × {self.bytes_per_parameter} bytes × {self.clients_per_round:,} "
            f"clients × {self.rounds:,} rounds × {DIRECTIONS} directions"
        )

    @property
    def down_bytes(self) -> int:
        """From the server to the clients."""
        return self.parameters * self.bytes_per_parameter * self.clients_per_round * self.rounds

    @property
    def up_bytes(self) -> int:
        """From the clients to the server: as much again."""
        return self.down_bytes

    @property
    def total_bytes(self) -> int:
        return self.down_bytes + self.up_bytes


def derive(
    card: MethodCard, parameters: int | None, *, bytes_per_parameter: int = FP32_BYTES
) -> Communication | None:
    """The communication of the run on the card with an adapter of so many parameters.

    None when the card does not say how many rounds or clients a round there were, or names a strategy that
    sends something else than the saved adapter: a half of it, or a residual whose rank grows; nor when its
    clients differ or pack what they send.
    A reference that does not federate communicates with no client.
    """
    if parameters is None or card.clients_per_round is None or card.rounds is None:
        return None
    strategy = on_card(card.strategy or "")
    if strategy is not None and not strategy.communicates:
        return Communication(parameters, 0, card.rounds, bytes_per_parameter)
    if card.differing or (strategy is not None and not strategy.sends_adapter_both_ways):
        return None
    return Communication(parameters, card.clients_per_round, card.rounds, bytes_per_parameter)


def adapter_parameters(card: MethodCard, base: BaseModelTensors) -> int | None:
    """How many parameters the adapter that the card describes has on this base model.

    Without target modules PEFT's default for the model's type counts. None when the card gives no rank
    or a kind of adapter that is not known, or the targets cannot be told.
    """
    modules = _targets(card.target_modules, base)
    if card.rank is None or not modules:
        return None
    kind = kinds.of_settings(card.peft_type or kinds.LORA.peft_type, {"use_dora": card.use_dora})
    if kind is None:
        return None
    return sum(
        kind.parameters(card.rank, matrix, embedding=is_embedding(module))
        for module, matrix in _matrices(modules, base)
    )


def adapted_shapes(targets: tuple[str, ...] | None, base: BaseModelTensors) -> tuple[tuple[int, int], ...]:
    """(out, in) of each matrix that LoRA on these target modules adapts; none where they cannot be told."""
    return tuple(shape for _, shape in _matrices(_targets(targets, base), base))


def _matrices(modules: list[str], base: BaseModelTensors) -> list[tuple[str, tuple[int, int]]]:
    shapes = ((module, base.matrix(module)) for module in modules)
    return [(module, shape) for module, shape in shapes if shape is not None]


def size_text(count: float) -> str:
    """Bytes for people, in the board's units."""
    for unit, name in ((GB, "GB"), (MB, "MB"), (1024, "KB")):
        if count >= unit:
            return f"{count / unit:,.2f} {name}"
    return f"{count:,.0f} bytes"


def check_budget(total_bytes: float, budget_bytes: int, place: str, findings: FindingCollector) -> None:
    """Report a run that sent more than the challenge allows."""
    if total_bytes > budget_bytes:
        message = (
            f"The run communicates {size_text(total_bytes)}, the budget is {budget_bytes / MB:,.0f} MB. "
            "Use fewer rounds, fewer clients a round or a smaller adapter."
        )
        findings.error("communication.budget", message, place)


def check_declared(
    declared_bytes: float, derived: Communication, place: str, findings: FindingCollector, *, tensors: int = 0
) -> None:
    """Report a declared figure that differs from the derived one.

    `tensors` is the adapter's number of tensors, with which framing is allowed for exactly.
    """
    if not (math.isfinite(declared_bytes) and declared_bytes >= 0):
        findings.error("communication.value", "The declared communication is no amount of bytes.", place)
        return
    total = derived.total_bytes
    messages = DIRECTIONS * derived.clients_per_round * derived.rounds
    allowed = total * RELATIVE_TOLERANCE + TENSOR_FRAMING * tensors * messages + _rounding(declared_bytes)
    if abs(declared_bytes - total) <= allowed:
        return
    message = (
        f"{size_text(declared_bytes)} are declared, but {derived} are {size_text(total)}. "
        f"{_reason(declared_bytes, total)}"
    )
    findings.warning("communication.differs", message, place)


def _rounding(declared: float) -> float:
    """Half of the last digit, for a figure that is evidently one decimal of a GB, as the board prints."""
    for gigabyte in (GB, 10**9):
        tenths = 10 * declared / gigabyte
        # A figure in bytes is hit by accident hardly ever; stored as whole bytes it is off by one at most.
        if round(tenths) >= 1 and abs(tenths - round(tenths)) * gigabyte / 10 <= 1:
            return gigabyte / 20
    return 0.0


def _reason(declared: float, derived: int) -> str:
    """The usual mistakes, by what they do to the figure."""
    ratio = declared / derived if derived else 0.0
    mistakes = (
        (0.001, "A thousandth of it: a point stands before decimals; write thousands as 46,228 or 46228."),
        (0.5, "Half of it: count both directions."),
        (2.0, "Twice as much: count each direction once."),
        (GB / 10**9, "The factor is that of 1024³ to 10⁹ bytes: a GB has 1024³ bytes here."),
        (10**9 / GB, "The factor is that of 10⁹ to 1024³ bytes: a GB has 1024³ bytes here."),
        (MB / 10**6, "The factor is that of 1024² to 10⁶ bytes: an MB has 1024² bytes here."),
        (10**6 / MB, "The factor is that of 10⁶ to 1024² bytes: an MB has 1024² bytes here."),
    )
    for factor, text in mistakes:
        if math.isclose(ratio, factor, rel_tol=0.01):
            return text
    return "Check the number, or say in the description what else was sent or saved."


def _targets(targets: tuple[str, ...] | None, base: BaseModelTensors) -> list[str]:
    """The base model's modules that get LoRA; empty when that cannot be told."""
    modules = base.matrix_modules
    names = targets or ("default",)
    if names == ("default",):
        names = _DEFAULT_TARGETS.get(base.model_type, ())
    if is_all_linear(names):
        return [name for name in modules if not is_embedding(name) and not is_output_head(name)]
    chosen = [name for name in modules if ends_in(name, names)]
    if chosen or len(names) != 1:
        return chosen
    try:
        matched = full_matches(names, modules)[0]  # one text that names no module is a regular expression
    except PatternError:
        return []
    return [name for name in modules if name in matched]
