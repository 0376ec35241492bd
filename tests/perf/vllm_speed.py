"""Items a second of the vLLM engine, against a raw `LLM.generate` of vLLM on the same prompts.

Both start afresh in each round, one after the other, with nothing in their prefix caches; the best time of
each counts, since other programs may use the machine meanwhile. On a CPU in fp32, on a GPU in bf16.
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

from evaluation import benchmarks, data, engines
from evaluation.benchmarks import Benchmark
from evaluation.benchmarks.samples import Decoding, Request
from evaluation.demonstration.base_model import build
from evaluation.engines import vllm_support
from evaluation.rules.protocol import CURRENT, Precision
from tests.perf.evaluation_speed import MODEL, ROOT, rows
from tests.perf.measure import Comparison

ITEMS = {"mmlu_stem": 96, "medmcqa": 64, "pubmedqa": 32, "fpb": 64}
ROUNDS = 2
DTYPES: dict[Precision, str] = {"fp32": "float32", "bf16": "bfloat16"}


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
    precision: Precision = "bf16" if vllm_support.build() == "cuda" else "fp32"
    folder = build(MODEL)
    asked = [_asked(slug, count) for slug, count in ITEMS.items()]
    ours, theirs = [Best() for _ in asked], [Best() for _ in asked]
    for _ in range(ROUNDS):
        _run_engine(folder, precision, asked, ours)
        _run_raw(folder, precision, asked, theirs)
    for prompts, own, raw in zip(asked, ours, theirs, strict=True):
        count = len(prompts.requests)
        same = sum(a == b for a, b in zip(own.read, raw.read, strict=True))
        yield Comparison(
            f"{prompts.benchmark.title} on vLLM in {precision}, {count} items",
            own.seconds,
            "raw LLM.generate",
            raw.seconds,
            f"{count / own.seconds:.1f} items a second, {same} of {count} answers the same",
        )


def _asked(slug: str, count: int) -> Asked:
    benchmark = benchmarks.get(slug)
    samples = data.load(benchmark, rows(), CURRENT, count).samples
    requests = [Request(slug, sample.key, sample.prompt) for sample in samples]
    return Asked(benchmark, requests, Decoding(max_new_tokens=1 if slug != "fpb" else 8))


def _run_engine(folder: Path, precision: Precision, asked: Sequence[Asked], best: Sequence[Best]) -> None:
    engine = engines.create("vllm")
    engine.open(folder, precision)
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


def _run_raw(folder: Path, precision: Precision, asked: Sequence[Asked], best: Sequence[Best]) -> None:
    job = {
        "model": str(folder),
        "dtype": DTYPES[precision],
        "sets": [
            [(request.prompt, prompts.decoding.max_new_tokens) for request in prompts.requests]
            for prompts in asked
        ],
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
    for prompts, found, raw in zip(asked, best, json.loads(done.stdout), strict=True):
        found.better(raw["seconds"], tuple(map(prompts.benchmark.read, raw["texts"])))
