"""The engine on Hugging Face transformers and PEFT, on a CPU or one CUDA device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import transformers

from evaluation import hardware
from evaluation.benchmarks.samples import Completion, Decoding, Request
from evaluation.engines import adapters, canary, likelihood
from evaluation.engines.adapters import Adapter
from evaluation.engines.base_models import (
    context_tokens,
    end_tokens,
    load_model,
    load_tokenizer,
    rope_switch,
)
from evaluation.engines.batches import Prompt
from evaluation.engines.decoding import Decoder, Ending
from evaluation.engines.engine import Answered, Engine, EngineFacts, Text
from evaluation.engines.forward import Forward
from evaluation.engines.limits import Limits, useful
from evaluation.engines.memory import Needs, memory_for, memory_of
from evaluation.engines.prompts import in_two_parts, tokenised
from evaluation.errors import ModelError
from evaluation.rules.protocol import Precision


class TransformersEngine(Engine):
    """Decoding in batches of similar length, left-padded, shared prefixes of the prompts computed once.

    Where the canary finds that a model, with its adapter, answers otherwise then, one prompt at a time.
    """

    name = "transformers"

    def __init__(self, batch_tokens: int | None = None, batch_rows: int | None = None) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        limits = useful(self._device)
        if batch_tokens is not None:
            limits = replace(limits, tokens=batch_tokens)
        if batch_rows is not None:
            limits = replace(limits, rows=batch_rows, pool_rows=batch_rows)
        self._limits = limits
        self._memory = memory_of(self._device)
        self._source: tuple[Path, Precision] | None = None
        self._model: Any = None
        self._tokenizer: Any = None
        self._adapter: Adapter | None = None
        self._together: bool | None = None  # what the canary found, None before it sang
        transformers.utils.logging.disable_progress_bar()

    def open(self, model: Path, precision: Precision) -> None:
        self.close()
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        self._source = (model, precision)
        self._tokenizer = load_tokenizer(model)
        self._model = load_model(model, precision, self._device)

    def use_adapter(self, adapter: Path | None) -> None:
        self._remove_adapter()
        if adapter is not None:
            self._put_on(adapter)
        self._batches()

    def _put_on(self, adapter: Path) -> None:
        files = adapters.read(adapter)
        # Until the adapter stands, the base model counts as spoilt: a failure may leave half of it in place.
        base, self._model = self._base(), None
        with memory_for("loading the adapter"):
            self._adapter = Adapter(base, files, self._folder())
        self._model = base

    def _batches(self) -> bool:
        """Whether prompts go through the model together, by the canary. Raises ModelError."""
        if self._together is None:
            model = self._base()
            ends = [end for end in (context_tokens(model), rope_switch(model)) if end is not None]

            def answer(forward: Forward, rows: Sequence[Prompt]) -> Iterator[list[Prompt]]:
                # Two at a time, so that pools of different widths are put together.
                limits = replace(self._limits, rows=2)
                return self._decoder(forward, Decoding(), Ending(frozenset(), (), str), limits).run(rows)

            self._together = canary.check(model, self._tokenizer, min(ends, default=None), answer)
        return self._together

    def _remove_adapter(self) -> None:
        self._together = None
        if self._adapter is None:
            return
        adapter, self._adapter = self._adapter, None
        adapter.remove()
        if not adapter.clean:
            self._model = None

    def _folder(self) -> Path:
        if self._source is None:
            raise ModelError("no base model is open")
        return self._source[0]

    def _base(self) -> Any:
        """The base model, loaded again if an adapter has spoilt it."""
        if self._source is None:
            raise ModelError("no base model is open")
        if self._model is None:
            model, precision = self._source
            self._model = load_model(model, precision, self._device)
        return self._model

    def count_tokens(self, text: str) -> int:
        return len(self._tokenizer(text, add_special_tokens=False).input_ids)

    def tokenizer(self) -> Any:
        return self._tokenizer

    def log_probabilities(self, texts: Sequence[Text], done: Answered) -> list[tuple[float, ...]]:
        with memory_for("the probabilities of a batch"):
            return likelihood.log_probabilities(self._base(), texts, done)

    def generate(
        self, requests: Sequence[Request], decoding: Decoding, answered: Answered
    ) -> Iterator[Completion]:
        rows, failed = tokenised(requests, decoding, self._tokenizer, context_tokens(self._base()))
        yield from failed
        done = len(failed)
        answered(done)
        for ended in self._answered(rows, decoding):
            done += len(ended)
            answered(done)
            yield from map(self._completion, ended)

    def _answered(self, rows: Sequence[Prompt], decoding: Decoding) -> Iterator[list[Prompt]]:
        model, tokenizer = self._base(), self._tokenizer
        ending = Ending(
            end_tokens(model, tokenizer, decoding.stop),
            decoding.stop,
            lambda tokens: str(tokenizer.decode(tokens, skip_special_tokens=True)),
        )
        pad = int(tokenizer.pad_token_id or 0)

        def run(rows: Sequence[Prompt], sharing: bool) -> Iterator[list[Prompt]]:
            forward = Forward(model, pad, together=self._batches(), sharing=sharing)
            return self._decoder(forward, decoding, ending, self._limits).run(rows)

        switch = rope_switch(model)
        return run(rows, True) if switch is None else in_two_parts(rows, switch, run, ending.reached)

    def _decoder(self, forward: Forward, decoding: Decoding, ending: Ending, limits: Limits) -> Decoder:
        model = self._base()
        fitting = limits.fitting(self._memory.free_bytes(), Needs.of(model.config, model.dtype))
        return Decoder(forward, decoding, ending, fitting, memory=self._memory, needed=self._needed)

    def _completion(self, row: Prompt) -> Completion:
        return Completion(
            row.key,
            self._tokenizer.decode(row.answer, skip_special_tokens=True),
            prompt_tokens=len(row.tokens) - row.generated,
            generated_tokens=row.generated,
        )

    def _needed(self, row: Prompt) -> str:
        """What one row needs of the device's memory, in words."""
        model = self._base()
        needed = Needs.of(model.config, model.dtype).sequence(len(row.tokens))
        free = self._memory.free_bytes()
        return (
            f"{len(row.tokens):,} tokens need about {needed / 1024**2:,.0f} MiB besides the weights, "
            f"{free / 1024**2:,.0f} MiB are free"
        )

    def facts(self) -> EngineFacts:
        cuda = self._device.type == "cuda"
        return EngineFacts(
            self.name,
            transformers.__version__,
            torch.cuda.get_device_name(self._device) if cuda else "cpu",
            torch.cuda.max_memory_allocated(self._device) if cuda else None,
            batching="" if self._together is None else canary.TOGETHER if self._together else canary.ALONE,
        )

    def gpu_uuids(self) -> tuple[str, ...]:
        uuid = hardware.gpu_uuid()
        return (uuid,) if uuid else ()

    def close(self) -> None:
        self._model = self._tokenizer = self._adapter = self._source = self._together = None
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
