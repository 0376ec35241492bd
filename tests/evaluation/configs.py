"""Flower app configurations for tests, in the shape of FlowerTune's template."""

from __future__ import annotations

from evaluation.findings import Finding, Severity
from evaluation.flowerconfig import inspect_app_config
from evaluation.method.card import MethodCard
from evaluation.rules import of

APP = """\
[tool.flwr.app]
publisher = "someone"

[tool.flwr.app.components]
serverapp = "app.server_app:app"
clientapp = "app.client_app:app"

[tool.flwr.app.config]
"""
VALUES = """\
model.name = "org/model-7B"
model.quantization = 4
model.lora.peft-lora-r = 8
model.lora.peft-lora-alpha = 16
train.learning-rate-max = 5e-5
train.learning-rate-min = 1e-6
train.seq-length = 512
train.training-arguments.learning-rate = ""
train.training-arguments.per-device-train-batch-size = 16
train.training-arguments.max-steps = 10
strategy.fraction-fit = 0.1
strategy.fraction-evaluate = 0.0
num-server-rounds = 100
"""
STATIC = """\
[tool.flwr.app.config.static]
dataset.name = "flwrlabs/alpaca-gpt4"
"""
FEDERATION = """\
[tool.flwr.federations]
default = "local-simulation"

[tool.flwr.federations.local-simulation]
options.num-supernodes = 20
"""


def app(values: str = VALUES, *, more: str = "", static: str = STATIC, federation: str = FEDERATION) -> str:
    """A valid General NLP app but for what is given."""
    return "\n".join((APP + values + more, static, federation))


def read(
    text: str | bytes, challenge: str | None = "general-nlp"
) -> tuple[MethodCard | None, tuple[Finding, ...]]:
    content = text.encode() if isinstance(text, str) else text
    return inspect_app_config(content, of(challenge) if challenge else None)


def card_of(text: str, challenge: str = "general-nlp") -> MethodCard:
    card, findings = read(text, challenge)
    assert card is not None, findings
    return card


def serious(findings: tuple[Finding, ...]) -> list[tuple[str, str]]:
    """Severity and code of what is no mere note."""
    return [(f.severity.value, f.code) for f in findings if f.severity is not Severity.NOTE]
