"""The engines by name, and which one answers: the one that is asked for, or the best one here, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from evaluation import gpus
from evaluation.engines import vllm_support
from evaluation.errors import ModelError
from evaluation.names import lookup
from evaluation.rules.protocol import Precision

AUTO: Final = "auto"
ENGINES: Mapping[str, str] = MappingProxyType(
    {
        "transformers": "evaluation.engines.transformers:TransformersEngine",
        "vllm": "evaluation.engines.vllm:VllmEngine",
        "scripted": "evaluation.engines.scripted:ScriptedEngine",
    }
)


@dataclass(frozen=True)
class Choice:
    """An engine's name, and why it is this one."""

    name: str
    reason: str


def choose(engine: str, model: Path, adapter: Path | None, precision: Precision) -> Choice:
    """The engine for the base model in a folder with this adapter at this precision.

    What is asked of vLLM and it cannot take goes to transformers, which takes everything. No weights are
    read and no model library is imported. Raises UnknownNameError, and ModelError when vLLM is asked for and
    is not installed.
    """
    lookup("engine", engine, {AUTO: "", **ENGINES})
    if engine not in (AUTO, "vllm"):
        return Choice(engine, "asked for")
    build = vllm_support.build()
    if build is None and engine == "vllm":
        raise ModelError(vllm_support.NOT_INSTALLED)
    if build is None:
        return Choice("transformers", "vLLM is not installed")
    if reason := vllm_support.refusal(model, adapter, precision, build):
        return Choice("transformers", reason)
    if build == "cuda" and not gpus.count():
        return Choice("transformers", "vLLM's CUDA build is installed, but there is no CUDA device")
    if engine == "vllm":
        return Choice("vllm", "asked for")
    if build == "cpu":
        return Choice("transformers", "on a CPU transformers is the faster one")
    return Choice("vllm", "the fastest one that takes this model, adapter and precision")
