"""The process that vLLM runs in, for `evaluation.engines.vllm`: one base model, commands in, replies out.

vLLM's own engine core runs in this process too (`VLLM_ENABLE_V1_MULTIPROCESSING=0`): its errors come as what
they are, and there is no third process to outlive anybody.
"""

from __future__ import annotations

import resource
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
import vllm
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig
from vllm import SamplingParams, envs
from vllm.engine.arg_utils import EngineArgs
from vllm.lora.request import LoRARequest
from vllm.platforms import current_platform
from vllm.sampling_params import RequestOutputKind
from vllm.v1.engine.llm_engine import LLMEngine

from evaluation import device_memory
from evaluation.benchmarks.samples import Completion, Decoding, Request
from evaluation.checkpoints.base_model import BaseModelTensors, base_model_tensors
from evaluation.engines.base_models import context_tokens, end_tokens, load_tokenizer
from evaluation.engines.batches import Prompt
from evaluation.engines.child import Parent
from evaluation.engines.memory import Needs, is_out_of_memory
from evaluation.engines.prompts import tokenised
from evaluation.engines.vllm_support import gpus_for
from evaluation.errors import (
    CheckpointError,
    EngineCrashError,
    EvaluationError,
    ModelError,
    OutOfMemoryError,
)

_MIB = 1024**2
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
# Of the device's free memory, what weights, activations and the cache of keys and values may take.
_SHARE = 0.92
# On a CPU the cache gets a share of what the weights leave, within these bounds in bytes.
_CPU_CACHE_SHARE, _CPU_CACHE = 0.25, (256 * _MIB, 4096 * _MIB)
# Prompt tokens in one step. The CPU build makes a copy of the adapter's matrices for each of them.
_CPU_STEP = 1_024
# Small enough that prompts share most of what they have in common; the CPU's kernels want multiples of 32.
_CPU_BLOCK = 32
# What vLLM raises for a model, or an adapter, that it does not take.
_MISFITS = (
    ValueError, TypeError, KeyError, AttributeError, RuntimeError, NotImplementedError, ImportError,
    AssertionError, OSError, SafetensorError,
)  # fmt: skip


@dataclass(frozen=True)
class _Description:
    """What a loaded model says about itself, from its folder alone."""

    config: Any
    generation_config: Any


def _describe(folder: Path) -> _Description:
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, ImportError) as error:
        raise ModelError(f"the base model {folder} cannot be loaded: {error}") from error
    try:
        generation = GenerationConfig.from_pretrained(folder, local_files_only=True)
    except OSError:  # there is no such file: transformers takes the end tokens from the model's config then
        generation = GenerationConfig.from_model_config(config)
    return _Description(config, generation)


def _check_complete(folder: Path, config: Any, stored: BaseModelTensors) -> None:
    """Every parameter of the model must be in its files: vLLM fuses some and does not miss a part of one.

    Raises ModelError.
    """
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    missing = [name for name, _ in model.named_parameters() if stored.stored_name(name) is None]
    if missing:
        raise ModelError(f"the base model {folder} lacks {len(missing)} tensors, first: {min(missing)}")


class Model:
    """A base model on vLLM; `rank` is the highest of an adapter that can be put on it, 0 for none."""

    def __init__(self, folder: Path, precision: str) -> None:
        self._folder = folder
        self._dtype = _DTYPES[precision]
        self._described = _describe(folder)
        self._stored = base_model_tensors(folder)
        _check_complete(folder, self._described.config, self._stored)
        self._tokenizer = load_tokenizer(folder)
        self._context = context_tokens(self._described)
        self._cuda = current_platform.is_cuda()
        self._gpus = gpus_for(folder, torch.cuda.device_count() if self._cuda else 1)
        self._engine: Any = None
        self._adapter: LoRARequest | None = None
        self._adapters = 0

    def load(self, rank: int) -> None:
        """Raises ModelError, OutOfMemoryError."""
        weights = self._stored.parameters * self._dtype.itemsize // self._gpus
        options = self._cuda_options(weights) if self._cuda else self._cpu_options(weights)
        if rank:
            options |= {"enable_lora": True, "max_lora_rank": rank, "max_loras": 1, "max_cpu_loras": 1}
        arguments = EngineArgs(
            model=str(self._folder),
            dtype=self._dtype,
            load_format="safetensors",
            trust_remote_code=False,
            # Of the model's own generation settings only the end tokens count; they come with each request.
            generation_config="vllm",
            enable_prefix_caching=True,
            max_model_len=self._longest(),
            disable_log_stats=True,
            **options,
        )
        with self._errors(ModelError, f"vLLM cannot load the base model {self._folder}"):
            self._engine = LLMEngine.from_engine_args(arguments)

    def _longest(self) -> int:
        """What vLLM is told of the model's context: -1 leaves it to vLLM, as far as memory reaches."""
        allowed = getattr(self._tokenizer, "model_max_length", None)
        # vLLM would keep to the tokenizer's limit, which says nothing about the model.
        return self._context if self._context and allowed and allowed < self._context else -1

    def _cuda_options(self, weights: int) -> dict[str, Any]:
        # Every GPU gets an equal part, so the fullest one decides.
        free, total = min(map(torch.cuda.mem_get_info, range(self._gpus)))
        self._check_room(weights, int(_SHARE * free), free)
        return {"gpu_memory_utilization": _SHARE * free / total, "tensor_parallel_size": self._gpus}

    def _cpu_options(self, weights: int) -> dict[str, Any]:
        free = psutil.virtual_memory().available
        least, most = _CPU_CACHE
        self._check_room(weights, free - least, free)
        cache = min(most, max(least, int(_CPU_CACHE_SHARE * (free - weights))))
        # Compiling would take longer than an evaluation of a model that a CPU can run.
        return {
            "kv_cache_memory_bytes": cache,
            "block_size": _CPU_BLOCK,
            "max_num_batched_tokens": _CPU_STEP,
            "enforce_eager": True,
        }

    def _check_room(self, weights: int, usable: int, free: int) -> None:
        if weights > usable:
            raise device_memory.lacking(
                f"out of memory: the weights of {self._folder} take {weights / _MIB:,.0f} MiB, "
                f"{free / _MIB:,.0f} MiB are free"
            )

    def use_adapter(self, adapter: str | None) -> None:
        """Raises CheckpointError, OutOfMemoryError; without an adapter then."""
        if self._adapter is not None:
            self._engine.remove_lora(self._adapter.lora_int_id)
            self._adapter = None
        self._engine.reset_prefix_cache()
        if adapter is None:
            return
        self._adapters += 1
        request = LoRARequest(str(self._adapters), self._adapters, adapter)
        with self._errors(CheckpointError, "the adapter does not fit the base model"):
            self._engine.add_lora(request)
        unused = self._ask_workers(_unused, request.lora_int_id)[0]
        if unused:
            self._engine.remove_lora(request.lora_int_id)
            raise CheckpointError(f"vLLM leaves out {len(unused)} modules of the adapter, first: {unused[0]}")
        self._adapter = request

    def count_tokens(self, text: str) -> int:
        return len(self._tokenizer(text, add_special_tokens=False).input_ids)

    def generate(self, requests: Sequence[Request], decoding: Decoding) -> Iterator[list[Completion]]:
        """The answers as they come, those that fail for want of room first. Raises OutOfMemoryError."""
        rows, failed = tokenised(requests, decoding, self._tokenizer, self._context)
        yield failed
        self._check_lengths(rows)
        # In the order of their tokens: neighbours share most, and the order of the requests does not matter.
        rows.sort(key=lambda row: (row.tokens, row.key))
        for number, row in enumerate(rows):
            self._engine.add_request(
                str(number),
                {"prompt_token_ids": list(row.tokens)},
                self._sampling(row, decoding),
                lora_request=self._adapter,
            )
        while self._engine.has_unfinished_requests():
            with self._errors(EngineCrashError, "vLLM failed"):
                outputs = self._engine.step()
            if ended := [output for output in outputs if output.finished]:
                yield [self._completion(rows, output) for output in ended]

    def _check_lengths(self, rows: Sequence[Prompt]) -> None:
        """The keys and values of every sequence must have room in vLLM's cache."""
        room = self._engine.vllm_config.model_config.max_model_len
        needed = max((len(row.tokens) + row.budget for row in rows), default=0)
        if needed > room:
            config = self._described.config
            raise OutOfMemoryError(
                f"out of memory: a prompt and its answer may have {needed:,} tokens, for which about "
                f"{Needs.of(config, self._dtype).sequence(needed) / _MIB:,.0f} MiB are needed besides the "
                f"weights; there is room for {room:,} tokens"
            )

    def _sampling(self, row: Prompt, decoding: Decoding) -> SamplingParams:
        greedy = decoding.temperature <= 0
        return SamplingParams(
            temperature=0.0 if greedy else decoding.temperature,
            top_p=1.0 if greedy else decoding.top_p,
            seed=None if greedy else row.seed,
            max_tokens=row.budget,
            stop=list(decoding.stop) or None,
            include_stop_str_in_output=True,
            # vLLM would end at its own choice of end token; these are the model's, as in the other engine.
            ignore_eos=True,
            stop_token_ids=sorted(end_tokens(self._described, self._tokenizer, decoding.stop)),
            # The text is made of the tokens below; vLLM needs its own for stop strings alone.
            detokenize=bool(decoding.stop),
            output_kind=RequestOutputKind.FINAL_ONLY,
            skip_clone=True,
        )

    def _completion(self, rows: Sequence[Prompt], output: Any) -> Completion:
        row = rows[int(output.request_id)]
        tokens = list(output.outputs[0].token_ids)
        return Completion(
            row.key,
            self._tokenizer.decode(tokens, skip_special_tokens=True),
            prompt_tokens=len(row.tokens),
            generated_tokens=len(tokens),
        )

    @contextmanager
    def _errors(self, kind: type[EvaluationError], what: str) -> Iterator[None]:
        """Tell want of memory from other failures, which become errors of the `kind`."""
        try:
            yield
        except _MISFITS as error:
            traceback.print_exc()
            lacking = isinstance(error, RuntimeError) and is_out_of_memory(error)
            # vLLM plans its memory ahead and says in a ValueError that it is not enough.
            if lacking or (isinstance(error, ValueError) and "memory" in str(error).lower()):
                raise device_memory.lacking(f"out of memory: {error}") from error
            raise kind(f"{what}: {error}") from error

    def facts(self) -> dict[str, Any]:
        return {
            "version": vllm.__version__,
            "device": self._device(),
            "peak_vram_bytes": sum(self._ask_workers(_peak_vram)) if self._cuda else None,
            "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "batch_invariant": envs.VLLM_BATCH_INVARIANT,
        }

    def _device(self) -> str:
        name = torch.cuda.get_device_name() if self._cuda else "cpu"
        return f"{self._gpus} x {name}" if self._gpus > 1 else name

    def _ask_workers(self, question: Callable[..., Any], *arguments: Any) -> list[Any]:
        """One answer of each process that holds a part of the model; none before it is loaded."""
        answers: list[Any] = self._engine.collective_rpc(question, args=arguments) if self._engine else []
        return answers


def _peak_vram(worker: Any) -> int:  # noqa: ARG001 - vLLM passes it
    return int(torch.cuda.max_memory_allocated())


def _unused(worker: Any, adapter: int) -> list[str]:
    """Modules of a loaded adapter that vLLM has not put on any module of the model."""
    manager = worker.model_runner.lora_manager._adapter_manager
    return sorted(set(manager.get_adapter(adapter).loras) - set(manager.modules))


def _run(command: dict[str, Any], model: Model | None, parent: Parent) -> Model:
    """Carry out one command; returns the model that there is after it."""
    name = command["do"]
    if name == "open":
        model = Model(Path(command["model"]), command["precision"])
        parent.say()
        return model
    assert model is not None
    if name == "load":
        model.load(command["rank"])
        parent.say()
    elif name == "adapter":
        model.use_adapter(command["adapter"])
        parent.say()
    elif name == "count":
        parent.say(count=model.count_tokens(command["text"]))
    elif name == "facts":
        parent.say(**model.facts())
    elif name == "generate":
        decoding = Decoding(**command["decoding"] | {"stop": tuple(command["decoding"]["stop"])})
        requests = [Request("", key, prompt, seed) for key, prompt, seed in command["requests"]]
        for ended in model.generate(requests, decoding):
            parent.say(completions=[vars(completion) for completion in ended])
        parent.say(end=True)
    return model


def main() -> None:
    """Serve until stdin ends."""
    parent = Parent()
    model: Model | None = None
    for command in parent.commands():
        try:
            model = _run(command, model, parent)
        except EvaluationError as error:
            parent.refuse(error)
        except Exception as error:  # noqa: BLE001 - the boundary to the engine: it must hear of every failure
            traceback.print_exc()
            parent.refuse(EngineCrashError(f"vLLM failed: {type(error).__name__}: {error}"))


if __name__ == "__main__":
    main()
