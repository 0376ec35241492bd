"""The engine on Hugging Face transformers and PEFT, on a CPU or one CUDA device."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    DynamicCache,
    GenerationConfig,
    StoppingCriteria,
    StoppingCriteriaList,
)
from transformers.cache_utils import DynamicLayer

from evaluation.engines import adapters
from evaluation.engines.adapters import Adapter
from evaluation.engines.batches import Row, common_prefix, compose
from evaluation.engines.engine import Answered, Engine, EngineFacts
from evaluation.errors import ModelError, OutOfMemoryError
from evaluation.protocol import Precision
from evaluation.samples import Completion, Decoding, Request

# Limits of one batch: prompt tokens (padding included) and rows. On a CPU larger ones are no faster and
# would let progress stand still for longer.
_CPU_LIMITS = (2_048, 16)
_CUDA_LIMITS = (16_384, 64)
# A shared prefix shorter than this is not worth a cache of its own.
_LEAST_PREFIX = 16
# A stop string is looked for in the text of the last tokens only. Each token adds a byte or more, and
# missing one costs time, not correctness: what follows a stop never changes the answer.
_STOP_WINDOW = 24
# A batch goes on until its last row ends, so after this many tokens the rows that have not ended are put
# together anew, and again after twice as many: few long answers then cost what they cost alone.
_FIRST_STAGE = 32

_DTYPES = {"nf4": torch.bfloat16, "bf16": torch.bfloat16, "fp32": torch.float32}


class TransformersEngine(Engine):
    """Greedy decoding in batches of similar length, left-padded, the prompts' shared prefix computed once."""

    name = "transformers"

    def __init__(self, batch_tokens: int | None = None, batch_rows: int | None = None) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        tokens, rows = _CUDA_LIMITS if self._device.type == "cuda" else _CPU_LIMITS
        self._batch_tokens = batch_tokens or tokens
        self._batch_rows = batch_rows or rows
        self._source: tuple[Path, Precision] | None = None
        self._model: Any = None
        self._tokenizer: Any = None
        self._adapter: Adapter | None = None
        transformers.utils.logging.disable_progress_bar()

    def open(self, model: Path, precision: Precision) -> None:
        self.close()
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        self._source = (model, precision)
        self._tokenizer = _load_tokenizer(model)
        self._model = _load_model(model, precision, self._device)

    def use_adapter(self, adapter: Path | None) -> None:
        self._remove_adapter()
        if adapter is None:
            return
        files = adapters.read(adapter)
        # Until the adapter stands, the base model counts as spoilt: a failure may leave half of it in place.
        base, self._model = self._base(), None
        with _memory_for("loading the adapter"):
            self._adapter = Adapter(base, files)
        self._model = base

    def _remove_adapter(self) -> None:
        if self._adapter is None:
            return
        adapter, self._adapter = self._adapter, None
        adapter.remove()
        if not adapter.clean:
            self._model = None

    def _base(self) -> Any:
        """The base model, loaded again if an adapter has spoilt it."""
        if self._source is None:
            raise ModelError("no base model is open")
        if self._model is None:
            model, precision = self._source
            self._model = _load_model(model, precision, self._device)
        return self._model

    def count_tokens(self, text: str) -> int:
        return len(self._tokenizer(text, add_special_tokens=False).input_ids)

    def generate(
        self, requests: Sequence[Request], decoding: Decoding, answered: Answered
    ) -> Iterator[Completion]:
        model = self._base()
        rows, failed = self._rows(requests, decoding)
        yield from failed
        done = len(failed)
        answered(done)
        with _memory_for("the prompts' shared prefix"):
            prefix = self._prefix_cache(model, rows)
        stage = _FIRST_STAGE
        while rows:
            going_on: list[Row] = []
            batches = compose(rows, self._batch_tokens, self._batch_rows)
            while batches:
                batch = batches.pop(0)
                end = _RowEnd(self._tokenizer, self._end_tokens(), batch, decoding.stop)
                end.report(answered, done)
                try:
                    after = self._extend(model, batch, end, prefix, stage)
                except torch.OutOfMemoryError as error:
                    batches[:0] = _halves(batch, error)
                    torch.cuda.empty_cache()
                    continue
                finished = [row for row, ended in zip(after, end.ended, strict=True) if ended]
                going_on += [row for row, ended in zip(after, end.ended, strict=True) if not ended]
                done += len(finished)
                yield from map(self._completion, finished)
            rows, stage = going_on, 2 * stage

    def _rows(self, requests: Sequence[Request], decoding: Decoding) -> tuple[list[Row], list[Completion]]:
        """Tokenised prompts, and the failures of those that leave no room for an answer."""
        rows: list[Row] = []
        failed: list[Completion] = []
        context = _context_tokens(self._base())
        ends = [end for end in (decoding.max_sequence_tokens, context) if end is not None]
        for request in requests:
            tokens = tuple(self._tokenizer(request.prompt).input_ids)
            room = min(ends) - len(tokens) if ends else decoding.max_new_tokens
            assert room is not None, "a decoding without any limit would not end"
            if decoding.max_new_tokens is not None:
                room = min(room, decoding.max_new_tokens)
            if room < 1:
                reason = f"the prompt has {len(tokens)} tokens and the limit is {min(ends)}"
                failed.append(Completion(request.key, None, reason, prompt_tokens=len(tokens)))
            else:
                rows.append(Row(request.key, tokens, room))
        return rows, failed

    @torch.inference_mode()
    def _prefix_cache(self, model: Any, rows: Sequence[Row]) -> DynamicCache | None:
        """Keys and values of the tokens that all prompts begin with, for one row; None if too few do."""
        length = common_prefix(rows)
        cache = DynamicCache(config=model.config)
        if length < _LEAST_PREFIX or len(rows) < 2 or not _plain(cache):
            return None
        tokens = torch.tensor([rows[0].tokens[:length]], device=self._device)
        model(tokens, past_key_values=cache, use_cache=True, logits_to_keep=1)
        return cache

    @torch.inference_mode()
    def _extend(
        self, model: Any, batch: Sequence[Row], end: _RowEnd, prefix: DynamicCache | None, stage: int
    ) -> list[Row]:
        """Generate up to `stage` tokens for each row of one batch.

        Padding stands between the shared prefix and the rest of each prompt.
        """
        shared = prefix.get_seq_length() if prefix is not None else 0
        cache = None
        if prefix is not None:
            cache = copy.deepcopy(prefix)
            cache.batch_repeat_interleave(len(batch))
        width = max(len(row.tokens) for row in batch)
        gaps = [width - len(row.tokens) for row in batch]
        pad = self._pad_token()
        ids = [
            [*row.tokens[:shared], *[pad] * gap, *row.tokens[shared:]]
            for row, gap in zip(batch, gaps, strict=True)
        ]
        mask = [[1] * shared + [0] * gap + [1] * (width - shared - gap) for gap in gaps]
        sequences = model.generate(
            torch.tensor(ids, device=self._device),
            attention_mask=torch.tensor(mask, device=self._device),
            past_key_values=cache,
            generation_config=GenerationConfig(
                do_sample=False,
                max_new_tokens=min(stage, max(row.budget for row in batch)),
                eos_token_id=self._end_tokens() or None,
                pad_token_id=pad,
            ),
            stopping_criteria=StoppingCriteriaList([end]),
        )
        generated = sequences[:, width:].tolist()
        return [
            row.extended(tokens[:length])
            for row, tokens, length in zip(batch, generated, end.lengths, strict=True)
        ]

    def _completion(self, row: Row) -> Completion:
        return Completion(
            row.key,
            self._tokenizer.decode(row.answer, skip_special_tokens=True),
            prompt_tokens=len(row.tokens) - row.generated,
            generated_tokens=row.generated,
        )

    def _end_tokens(self) -> list[int]:
        ends = self._base().generation_config.eos_token_id
        if ends is None:
            ends = self._tokenizer.eos_token_id
        if ends is None:
            return []
        return list(ends) if isinstance(ends, (list, tuple)) else [ends]

    def _pad_token(self) -> int:
        # Masked everywhere, so any token does for models that have none for padding.
        pad = self._tokenizer.pad_token_id
        return int(pad) if pad is not None else 0

    def facts(self) -> EngineFacts:
        cuda = self._device.type == "cuda"
        return EngineFacts(
            self.name,
            transformers.__version__,
            torch.cuda.get_device_name(self._device) if cuda else "cpu",
            torch.cuda.max_memory_allocated(self._device) if cuda else None,
        )

    def close(self) -> None:
        self._model = self._tokenizer = self._adapter = self._source = None
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


def _halves(batch: Sequence[Row], error: Exception) -> list[list[Row]]:
    """The two halves of a batch that was too large for the device."""
    if len(batch) == 1:
        raise OutOfMemoryError(
            f"out of memory on a single prompt of {len(batch[0].tokens)} tokens: {error}"
        ) from error
    middle = (len(batch) + 1) // 2
    return [list(batch[:middle]), list(batch[middle:])]


class _RowEnd(StoppingCriteria):  # type: ignore[misc] # untyped upstream
    """Ends each row by itself: at an end token, at its budget, or once a stop string stands in its text.

    `lengths` holds the tokens generated for each row in this call, the ending one included; `ended` says
    which rows are through.
    """

    def __init__(
        self, tokenizer: Any, end_tokens: Sequence[int], batch: Sequence[Row], stop: Sequence[str]
    ) -> None:
        self._tokenizer = tokenizer
        self._end_tokens = frozenset(end_tokens)
        self._batch = batch
        self._stop = stop
        self._start = max(len(row.tokens) for row in batch)
        self.ended = [False] * len(batch)
        self.lengths = [0] * len(batch)
        self._answered: Answered = lambda _count: None
        self._before = 0

    def report(self, answered: Answered, before: int) -> None:
        """Tell `answered` at every token how many rows have ended, the `before` of earlier batches too."""
        self._answered, self._before = answered, before

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:  # noqa: ARG002
        length = input_ids.shape[1] - self._start
        for position, row in enumerate(self._batch):
            if self.ended[position]:
                continue
            self.lengths[position] = length
            window = min(_STOP_WINDOW, row.generated + length)
            tail = input_ids[position, -window:].tolist()
            self.ended[position] = (
                length >= row.budget or tail[-1] in self._end_tokens or self._has_stop(tail)
            )
        self._answered(self._before + sum(self.ended))
        return torch.tensor(self.ended, device=input_ids.device)

    def _has_stop(self, tail: Sequence[int]) -> bool:
        if not self._stop:
            return False
        text = self._tokenizer.decode(tail, skip_special_tokens=True)
        return any(stop in text for stop in self._stop)


@contextmanager
def _memory_for(purpose: str) -> Iterator[None]:
    """Say what the device had no memory for."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise OutOfMemoryError(f"out of memory for {purpose}: {error}") from error


def _load_tokenizer(folder: Path) -> Any:
    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, ImportError) as error:
        raise ModelError(f"the tokenizer of {folder} cannot be loaded: {error}") from error


def _load_model(folder: Path, precision: Precision, device: torch.device) -> Any:
    """The model in eval mode, from safetensors only and without code of its own."""
    options: dict[str, Any] = {"device_map": {"": device}}
    if precision == "nf4":
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
        )
    try:
        with _memory_for(f"loading {folder} as {precision}"):
            model, report = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=_DTYPES[precision],
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                output_loading_info=True,
                **options,
            )
    except (OSError, ValueError, ImportError, SafetensorError) as error:
        raise ModelError(f"the base model {folder} cannot be loaded as {precision}: {error}") from error
    if missing := sorted(report["missing_keys"]):
        raise ModelError(f"the base model {folder} lacks {len(missing)} tensors, first: {missing[0]}")
    _forget_sampling(model)
    return model.eval()


def _forget_sampling(model: Any) -> None:
    """Keep only the end tokens of the model's own generation settings.

    The rest (temperatures, repetition penalties) would slip into greedy decoding wherever ours are silent.
    """
    own = model.generation_config
    model.generation_config = GenerationConfig(eos_token_id=own.eos_token_id, pad_token_id=own.pad_token_id)


def _context_tokens(model: Any) -> int | None:
    """How many tokens the model can attend to; None where its config does not say."""
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return int(context) if context else None


def _plain(cache: DynamicCache) -> bool:
    """Whether every layer keeps all keys and values, so that a prefix can be computed once and copied."""
    return bool(cache.layers) and all(type(layer) is DynamicLayer for layer in cache.layers)
