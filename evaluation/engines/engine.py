"""What an engine is: it holds one base model, takes adapters on and off, and answers prompts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from evaluation.benchmarks.samples import Completion, Decoding, Request
from evaluation.errors import ModelError
from evaluation.rules.protocol import Precision

Answered = Callable[[int], None]
"""Told how many of the requests are answered so far; called often."""


@dataclass(frozen=True)
class EngineFacts:
    """What ran, for the provenance. `peak_vram_bytes` is None without an accelerator, `peak_rss_bytes` unless
    the engine has a process of its own.

    `batching` is how prompts went through the model, where the engine has more ways than one.
    `batch_invariant` says that the kernels give each row the same bits whatever else is in its batch; without
    them the last bits may differ.

    `reason` says why this engine ran; it comes from who chose it, an engine leaves it empty.
    """

    name: str
    version: str
    device: str
    peak_vram_bytes: int | None = None
    peak_rss_bytes: int | None = None
    batching: str = ""
    batch_invariant: bool = False
    reason: str = ""


Logarithms = list[tuple[float, ...]]
"""Of each text, the logarithms of the probabilities of its scored tokens."""


@dataclass(frozen=True)
class Text:
    """Tokens of a text, and the positions, from 1 on and rising, of those whose probability is asked for."""

    tokens: tuple[int, ...]
    scored: tuple[int, ...]


class Engine(ABC):
    """Use: `open` once, then `use_adapter` and `generate` as often as wanted, then `close`.

    The answer to a request depends on the request, the model and the adapter alone: not on the order of the
    requests, on what else is asked in the same call, nor on earlier adapters, beyond the rounding of the
    arithmetic.
    """

    name: ClassVar[str]
    generates: ClassVar[bool] = True
    """Whether answers come from a model here; otherwise no score on them is official."""

    @abstractmethod
    def open(self, model: Path, precision: Precision) -> None:
        """Load the base model from a folder. Raises ModelError, OutOfMemoryError."""

    @abstractmethod
    def use_adapter(self, adapter: Path | None) -> None:
        """Put the adapter of a folder on the base model in place of the one before, or none.

        Raises CheckpointError, after which the engine still serves other adapters.
        """

    @abstractmethod
    def count_tokens(self, text: str) -> int:
        """Tokens of a text, special tokens left out."""

    @abstractmethod
    def generate(
        self, requests: Sequence[Request], decoding: Decoding, answered: Answered
    ) -> Iterator[Completion]:
        """Answer every request exactly once, in any order. Raises OutOfMemoryError."""

    def tokenizer(self) -> Any:
        """The model's own. Raises ModelError where the engine gives none."""
        raise ModelError(f"the engine {self.name} gives no tokenizer")

    def log_probabilities(self, texts: Sequence[Text], done: Answered) -> Logarithms:  # noqa: ARG002
        """Natural ones, of each text's `scored` tokens, given all before them; `done` is told of texts.

        Raises OutOfMemoryError, and ModelError where the engine gives none.
        """
        raise ModelError(f"the engine {self.name} gives no probabilities of given texts")

    @abstractmethod
    def facts(self) -> EngineFacts:
        """What ran since `open`."""

    def gpu_uuids(self) -> tuple[str, ...]:
        """What the driver calls the GPUs that it computes on; none on a processor."""
        return ()

    @abstractmethod
    def close(self) -> None:
        """Free the model; `open` may follow."""
