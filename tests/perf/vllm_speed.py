"""Items a second of the vLLM engine, against a raw `LLM.generate` of vLLM on the same prompts.

Both start afresh in each round, one after the other, with nothing in their prefix caches; the best time of
each counts, since other programs may use the machine meanwhile. In bf16, as protocol 2 has it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation import benchmarks, data, engines
from evaluation.benchmarks import Benchmark
from evaluation.benchmarks.samples import Decoding, Request
from evaluation.demonstration.base_model import build
from evaluation.engines import vllm_support
from evaluation.rules import protocol
from tests.perf.evaluation_speed import MODEL, ROOT, rows
from tests.perf.measure import Comparison

ITEMS = {"mmlu_stem": 96, "medmcqa": 64, "pubmedqa": 32, "fpb": 64}
ROUNDS = 2
SECOND = protocol.get(2)


@dataclass(frozen=True)
class Asked:
    """One benchmark's prompts. Without stop strings, so that both generate as many tokens."""

    benchmark: Benchmark
    requests: Sequence[Request]
    decoding: Decoding


@dataclass
class Best:
    """The best seconds so far, and the answers as read."""

    seconds: float = float("inf")
    read: tuple[str, ...] = ()

    def better(self, seconds: float, read: tuple[str, ...]) -> None:
        self.seconds, self.read = min(self.seconds, seconds), read


def compare() -> Iterator[Comparison]:
    if vllm_support.build() is None:
        print(f"  left out: {vllm_support.NOT_INSTALLED}")
        return
    folder = build(MODEL)
    asked = [_asked(slug, count) for slug, count in ITEMS.items()]
    ours, theirs = [Best() for _ in asked], [Best() for _ in asked]
    for _ in range(ROUNDS):
        _run_engine(folder, asked, ours)
        _run_raw(folder, asked, theirs)
    for prompts, own, raw in zip(asked, ours, theirs, strict=True):
        count = len(prompts.requests)
        same = sum(a == b for a, b in zip(own.read, raw.read, strict=True))
        yield Comparison(
            f"{prompts.benchmark.title} on vLLM in bf16, {count} items",
            own.seconds,
            "raw LLM.generate",
            raw.seconds,
            f"{count / own.seconds:.1f} items a second, {same} of {count} answers the same",
        )


def _asked(slug: str, count: int) -> Asked:
    benchmark = benchmarks.get(slug)
    samples = data.load(benchmark, rows(), SECOND, count).samples
    requests = [Request(slug, sample.key, sample.prompt) for sample in samples]
    return Asked(benchmark, requests, Decoding(max_new_tokens=1 if slug != "fpb" else 8))


def _run_engine(folder: Path, asked: Sequence[Asked], best: Sequence[Best]) -> None:
    engine = engines.create("vllm")
    engine.open(folder, "bf16")
    for prompts, found in zip(asked, best, strict=True):
        engine.use_adapter(None)
        list(engine.generate(prompts.requests[:2], prompts.decoding, lambda _: None))
        engine.use_adapter(None)  # which also empties the prefix cache
        start = time.perf_counter()
        answers = {
            answer.key: prompts.benchmark.read(answer.text or "")
            for answer in engine.generate(prompts.requests, prompts.decoding, lambda _: None)
        }
        seconds = time.perf_counter() - start
        found.better(seconds, tuple(answers[request.key] for request in prompts.requests))
    engine.close()


def _run_raw(folder: Path, asked: Sequence[Asked], best: Sequence[Best]) -> None:
    sets = [
        [(request.prompt, prompts.decoding.max_new_tokens or 0) for request in prompts.requests]
        for prompts in asked
    ]
    for prompts, found, raw in zip(asked, best, raw_generate(folder, sets), strict=True):
        found.better(raw["seconds"], tuple(map(prompts.benchmark.read, raw["texts"])))


def raw_generate(
    folder: Path,
    sets: Sequence[Sequence[tuple[str, int]]],
    *,
    adapter: Path | None = None,
    logprobs: int | None = None,
) -> list[dict[str, Any]]:
    """What `raw_vllm` answers to sets of prompts with the limit of tokens for each, in bf16."""
    job = {
        "model": str(folder),
        "dtype": "bfloat16",
        "adapter": str(adapter) if adapter else None,
        "logprobs": logprobs,
        "sets": sets,
    }
    settings = {"VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "ERROR", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.perf.raw_vllm"],
        input=json.dumps(job),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # The cache's size in GiB: vLLM's own choice on a CPU is most of the memory.
        env=os.environ | settings | {"VLLM_CPU_KVCACHE_SPACE": "2"},
        cwd=ROOT,
        text=True,
        check=True,
    )
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers
