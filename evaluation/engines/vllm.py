"""The engine on vLLM: its CUDA build, or its CPU build. vLLM runs in a child process (`vllm_child`).

So the caller's interpreter never imports it, its memory is surely freed, and what kills it kills only it.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evaluation import gpus
from evaluation.benchmarks.samples import Completion, Decoding, Request
from evaluation.checkpoints import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_FILE,
    BaseModelTensors,
    base_model_tensors,
    inspect_adapter,
    inspect_adapter_config,
)
from evaluation.engines.child import Child
from evaluation.engines.engine import Answered, Engine, EngineFacts
from evaluation.engines.vllm_support import NOT_INSTALLED, Build, build, rank_of, refusal, room_for
from evaluation.errors import CheckpointError, EvaluationError, ModelError
from evaluation.findings import Finding
from evaluation.rules.protocol import Precision

# vLLM has batch-invariant kernels for CUDA devices from compute capability 8.0 on, and for no processor.
_BATCH_INVARIANT: tuple[Precision, ...] = ("bf16", "fp16")
# On a GPU there is room for at least this rank, so that the model need not be loaded again for most adapters.
# On a CPU every rank that there is room for costs time.
_CUDA_ROOM = 64
# What is no error in a submission, but is to an engine: vLLM goes by the tensors alone, so these would be
# applied, or be missing, without a word.
_UNTARGETED = ("adapter.untargeted_module", "adapter.target_without_tensors")


class VllmEngine(Engine):
    """Prefix caching on, LoRA by vLLM's own kernels, adapters swapped while the base model stays loaded.

    On CUDA devices the model is divided among all that this process is given, and 16-bit weights are computed
    by batch-invariant kernels.

    The base model is loaded with the first adapter, or none, since vLLM must know the rank before; and loaded
    again for an adapter of a higher rank than there is room for.
    """

    name = "vllm"

    def __init__(self) -> None:
        kind = build()
        if kind is None:
            raise ModelError(NOT_INSTALLED)
        self._build: Build = kind
        self._source: tuple[Path, Precision] | None = None
        self._tensors: BaseModelTensors | None = None
        self._adapter: Path | None = None
        self._child: Child | None = None
        self._room: int | None = None  # the rank that there is room for once the model is loaded
        self._facts = EngineFacts(self.name, "", "")

    def open(self, model: Path, precision: Precision) -> None:
        """Start the child and read all of the model but its weights."""
        self.close()
        if reason := refusal(model, None, precision, self._build):
            raise ModelError(f"the base model {model} cannot be loaded as {precision}: {reason}")
        self._tensors = base_model_tensors(model)
        self._source = (model.resolve(), precision)
        self._start()

    def use_adapter(self, adapter: Path | None) -> None:
        """Also raises ModelError and OutOfMemoryError, since the base model may have to be loaded here."""
        self._adapter = None
        if adapter is not None:
            adapter = adapter.resolve()
            self._check(adapter)
        self._load(adapter)
        self._ask({"do": "adapter", "adapter": str(adapter) if adapter else None})
        self._adapter = adapter

    def count_tokens(self, text: str) -> int:
        count: int = self._ask({"do": "count", "text": text})["count"]
        return count

    def generate(
        self, requests: Sequence[Request], decoding: Decoding, answered: Answered
    ) -> Iterator[Completion]:
        if self._room is None:
            self.use_adapter(self._adapter)
        child = self._running()
        asked = [(request.key, request.prompt, request.seed) for request in requests]
        child.send({"do": "generate", "requests": asked, "decoding": asdict(decoding)})
        ended, done = False, 0
        try:
            for reply in child.replies():
                if ended := "end" in reply:
                    break
                done += len(reply["completions"])
                answered(done)
                for fields in reply["completions"]:
                    yield Completion(**fields)
        finally:
            if not ended:  # of what is still on its way nothing may reach the next call
                self._stop()

    def gpu_uuids(self) -> tuple[str, ...]:
        return gpus.visible() if self._build == "cuda" else ()

    def facts(self) -> EngineFacts:
        if self._child is not None:
            self._facts = EngineFacts(self.name, **self._ask({"do": "facts"}))
        return self._facts

    def close(self) -> None:
        self._stop()
        self._source = self._tensors = self._adapter = None

    def _check(self, adapter: Path) -> None:
        """Raises CheckpointError for an adapter that vLLM would refuse, or apply only in part."""
        model, precision = self._opened()
        for name in (ADAPTER_CONFIG_FILE, ADAPTER_FILE):
            if not (adapter / name).is_file():
                raise CheckpointError(f"the adapter folder {adapter} has no {name}")
        if reason := refusal(model, adapter, precision, self._build):
            raise CheckpointError(f"this adapter is not for vLLM: {reason}")
        settings = (adapter / ADAPTER_CONFIG_FILE).read_bytes()
        config, findings = inspect_adapter_config(settings, base_hub_id=None)
        _raise_first(findings)
        with (adapter / ADAPTER_FILE).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            _raise_first(inspect_adapter(file, size, config, self._tensors)[1])

    def _load(self, adapter: Path | None) -> None:
        """See to it that the base model is loaded with room for the adapter."""
        room = room_for(rank_of(adapter)) if adapter else 0
        if self._room is not None and self._room >= room:
            return
        if self._room is not None:
            self._stop()
        if room and self._build == "cuda":
            room = max(room, _CUDA_ROOM)
        self._ask({"do": "load", "rank": room})
        self._room = room

    def _running(self) -> Child:
        return self._child or self._start()

    def _start(self) -> Child:
        model, precision = self._opened()
        environment = _environment(self._build, precision)
        self._child = child = Child("evaluation.engines.vllm_child", environment)
        self._ask({"do": "open", "model": str(model), "precision": precision})
        return child

    def _ask(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """A child in which this fails, other than for the adapter, is of no more use."""
        try:
            return self._running().ask(command)
        except CheckpointError:
            raise
        except EvaluationError:
            self._stop()
            raise

    def _opened(self) -> tuple[Path, Precision]:
        if self._source is None:
            raise ModelError("no base model is open")
        return self._source

    def _stop(self) -> None:
        if self._child is not None:
            self._child.end()
        self._child = self._room = None


def _raise_first(findings: Sequence[Finding]) -> None:
    for finding in findings:
        if finding.severity == "error" or finding.code in _UNTARGETED:
            raise CheckpointError(
                f"the adapter does not fit the base model: {finding.location}: {finding.message}"
            )


def _environment(kind: Build, precision: Precision) -> dict[str, str]:
    """Nothing is sent anywhere, nothing is fetched, and no plug-in of another package is loaded."""
    environment = {
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "true",
        "VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_LOGGING_LEVEL": "WARNING",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_PLUGINS": "",
        # Of the processes that share a model over several GPUs, which a process that uses CUDA cannot fork.
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    }
    if kind == "cuda" and precision in _BATCH_INVARIANT and all(gpu.computes_bf16 for gpu in gpus.devices()):
        environment["VLLM_BATCH_INVARIANT"] = "1"
    if kind == "cpu":
        # Without it vLLM takes one core. With another OpenMP than torch's own, all threads end up on one.
        environment["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS") or str(
            len(os.sched_getaffinity(0))
        )
        if openmp := _torch_openmp():
            environment["LD_PRELOAD"] = str(openmp)
    return environment


def _torch_openmp() -> Path | None:
    """The OpenMP library that comes with torch, found without importing it."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent
    found = [*folder.glob("lib/libgomp*.so*"), *folder.parent.glob("torch.libs/libgomp*.so*")]
    return found[0] if found else None
