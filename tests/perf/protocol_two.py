"""Protocol 2, bf16: vLLM's answers against those of transformers item by item, and why some differ.

Where two letters are answered, both engines are asked how far apart these letters' logits are, and a plain
forward in fp32 with them. bf16 keeps eight bits, so near a logit of 16 two neighbours lie 0.125 apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation import benchmarks, data, engines
from evaluation.benchmarks import Benchmark
from evaluation.benchmarks.samples import Decoding, Request
from evaluation.demonstration.base_model import build
from evaluation.engines import vllm_support
from evaluation.rules.protocol import Precision
from tests.perf.evaluation_speed import MODEL, rows, timed
from tests.perf.measure import Comparison
from tests.perf.protocol_one import ADAPTER
from tests.perf.vllm_speed import SECOND, raw_generate

ITEMS = {"mmlu_stem": 60, "medmcqa": 60, "pubmedqa": 60}
LETTER = Decoding(max_new_tokens=1)
TOLD = 20  # the most log probabilities a token that vLLM tells


@dataclass(frozen=True)
class Letters:
    """Two answers to one item: vLLM's logit less transformers', by each engine and in fp32."""

    key: str
    vllm: str
    transformers: str
    by_vllm: float | None
    by_transformers: float
    in_fp32: float
    spacing: float

    def line(self) -> str:
        found = "beyond the first 20" if self.by_vllm is None else f"{self.by_vllm:+.3f}"
        return (
            f"    {self.key}: {self.vllm!r} by vLLM, {self.transformers!r} by transformers; "
            f"first logit less second: vLLM {found}, transformers {self.by_transformers:+.3f}, "
            f"fp32 {self.in_fp32:+.4f}; neighbours in bf16 lie {self.spacing:.3f} apart"
        )


def compare() -> Iterator[Comparison]:
    if vllm_support.build() is None:
        print(f"  left out: {vllm_support.NOT_INSTALLED}")
        return
    folder = build(MODEL)
    for adapter in (None, ADAPTER if ADAPTER.is_dir() else None):
        for slug, count in ITEMS.items():
            benchmark = benchmarks.get(slug)
            samples = data.load(benchmark, rows(), SECOND, count).samples
            asked = [Request(slug, sample.key, sample.prompt) for sample in samples]
            yield _compared(folder, adapter, benchmark, asked)


def _compared(
    folder: Path, adapter: Path | None, benchmark: Benchmark, asked: Sequence[Request]
) -> Comparison:
    seconds, ours = timed(lambda: _answers("vllm", folder, adapter, asked))
    peer_seconds, theirs = timed(lambda: _answers("transformers", folder, adapter, asked))
    differing = [r for r in asked if benchmark.read(ours[r.key]) != benchmark.read(theirs[r.key])]
    for letters in _letters(folder, adapter, differing, ours, theirs) if differing else ():
        print(letters.line(), flush=True)
    return Comparison(
        f"{benchmark.title} in bf16 on vLLM{' with the adapter' if adapter else ''}, loading included",
        seconds,
        "transformers",
        peer_seconds,
        f"{len(asked) - len(differing)} of {len(asked)} answers the same",
    )


def _answers(name: str, folder: Path, adapter: Path | None, asked: Sequence[Request]) -> dict[str, str]:
    engine = engines.create(name)
    engine.open(folder, "bf16")
    engine.use_adapter(adapter)
    found = {answer.key: answer.text or "" for answer in engine.generate(asked, LETTER, lambda _: None)}
    engine.close()
    return found


def _letters(
    folder: Path,
    adapter: Path | None,
    asked: Sequence[Request],
    ours: dict[str, str],
    theirs: dict[str, str],
) -> Iterator[Letters]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    (told,) = raw_generate(folder, [[(r.prompt, 1) for r in asked]], adapter=adapter, logprobs=TOLD)
    bf16, fp32 = _model(folder, adapter, "bf16"), _model(folder, adapter, "fp32")
    for request, logprobs in zip(asked, told["logprobs"], strict=True):
        a, b = (_token(tokenizer, found[request.key]) for found in (ours, theirs))
        inputs = tokenizer(request.prompt, return_tensors="pt")
        by_vllm = [logprobs.get(str(token)) for token in (a, b)]
        rounded, exact = _last_logits(bf16, inputs), _last_logits(fp32, inputs)
        yield Letters(
            key=request.key,
            vllm=ours[request.key],
            transformers=theirs[request.key],
            by_vllm=None if None in by_vllm else by_vllm[0] - by_vllm[1],
            by_transformers=float(rounded[a] - rounded[b]),
            in_fp32=float(exact[a] - exact[b]),
            spacing=_spacing(float(exact[a])),
        )


def _token(tokenizer: Any, text: str) -> int:
    """The token that an answer is; one without text is the end."""
    numbers = tokenizer(text, add_special_tokens=False).input_ids
    return int(numbers[0]) if numbers else int(tokenizer.eos_token_id)


def _model(folder: Path, adapter: Path | None, precision: Precision) -> Any:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=kind)
    return (PeftModel.from_pretrained(model, adapter) if adapter else model).eval()


def _last_logits(model: Any, inputs: Any) -> Any:
    import torch

    with torch.inference_mode():
        return model(**inputs).logits[0, -1].float()


def _spacing(logit: float) -> float:
    """How far apart neighbouring bf16 numbers are there: eight bits, the first one implied."""
    import math

    return float(2.0 ** (math.floor(math.log2(abs(logit))) - 7))
