"""Items a second of the transformers engine, against the public evaluation procedure on the same items.

The public procedure asks one item at a time: one `generate` call in fp32 with a cache, for as many tokens as
the gold answer has or, in finance, up to 512 with the prompt. Both must read the same answers. They take
turns, and the best time of each counts, since other programs may use the machine meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from evaluation import benchmarks, data, engines
from evaluation.benchmarks import Benchmark
from evaluation.benchmarks.samples import Completion, Decoding, Request, Sample
from evaluation.demonstration.base_model import build
from evaluation.engines import Engine
from evaluation.engines.batches import Prompt, families
from evaluation.rules.protocol import CURRENT
from tests.perf.arithmetic import model_flops, peak_flops
from tests.perf.measure import Comparison

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "var" / "models" / "smollm2-135m-instruct"
REAL_ROWS = ROOT.parent / "shared" / "data" / "eval"
Result = TypeVar("Result")
SETTINGS = {
    # Items and rounds. Finance needs many: two or three answers of a hundred go on to the limit, and
    # decoding them takes the same steps whether they are two or twenty.
    "mmlu_stem": (96, 3),
    "medmcqa": (64, 3),
    "pubmedqa": (32, 2),
    "medqa": (32, 2),
    "fpb": (400, 1),
    "tfns": (400, 1),
}


def rows() -> str | Path:
    """The folder of real rows beside the project where there is one, else the demonstration items."""
    return REAL_ROWS if REAL_ROWS.is_dir() else data.DEMONSTRATION


@dataclass(frozen=True)
class _Asked:
    """Items of one benchmark, and how it is asked."""

    benchmark: Benchmark
    samples: tuple[Sample, ...]
    decoding: Decoding

    def requests(self) -> list[Request]:
        return [Request(self.benchmark.slug, sample.key, sample.prompt) for sample in self.samples]


def compare(settings: dict[str, tuple[int, int]] = SETTINGS) -> Iterator[Comparison]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = build(MODEL)
    engine = engines.create("transformers")
    engine.open(folder, "fp32")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    peer = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    for slug, (items, rounds) in settings.items():
        benchmark = benchmarks.get(slug)
        samples = data.load(benchmark, rows(), CURRENT, items).samples
        asked = _Asked(benchmark, samples, benchmark.decoding(CURRENT, engine.count_tokens))
        yield _compared(asked, engine, peer, tokenizer, rounds)
    engine.close()


def _compared(asked: _Asked, engine: Engine, peer: Any, tokenizer: Any, rounds: int) -> Comparison:
    list(engine.generate(asked.requests()[:2], asked.decoding, lambda _: None))
    here: list[tuple[float, dict[str, Completion]]] = []
    public: list[tuple[float, dict[str, tuple[str, int]]]] = []
    peak = 0.0
    for _ in range(rounds):
        peak = max(peak, peak_flops())
        here.append(timed(lambda: _answers(asked, engine)))
        public.append(timed(lambda: public_answers(asked.samples, asked.decoding, peer, tokenizer)))
    seconds, answers = min(here, key=lambda measured: measured[0])
    peer_seconds, texts = min(public, key=lambda measured: measured[0])
    read = asked.benchmark.read
    same = sum(read(answers[key].text or "") == read(text) for key, (text, _) in texts.items())
    computed = _work(asked, answers, peer, tokenizer)
    peer_spans = [(0, total) for _, total in texts.values()]
    prompts = sum(answer.prompt_tokens for answer in answers.values())
    peer_logits = sum(total for _, total in texts.values()) - prompts + len(texts)
    peer_work = model_flops(peer, peer_spans, peer_logits)
    count = len(texts)
    return Comparison(
        f"{asked.benchmark.title}, {count} items",
        seconds,
        "one generate call an item",
        peer_seconds,
        f"{count / seconds:.2f} items a second against {count / peer_seconds:.2f}, {same} of {count} answers "
        f"the same; {computed / seconds / 1e9:.0f} GFLOP/s against {peer_work / peer_seconds / 1e9:.0f}, "
        f"a matrix product {peak / 1e9:.0f}: {computed / seconds / peak:.0%} of it",
    )


def timed(call: Callable[[], Result]) -> tuple[float, Result]:
    """Seconds of a call, and what it returned."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def _answers(asked: _Asked, engine: Engine) -> dict[str, Completion]:
    return {c.key: c for c in engine.generate(asked.requests(), asked.decoding, lambda _: None)}


def _work(asked: _Asked, answers: dict[str, Completion], model: Any, tokenizer: Any) -> float:
    """Operations that the engine is asked for: those of a shared prefix once."""
    rows = [
        Prompt(sample.key, tuple(tokenizer(sample.prompt).input_ids), budget=1) for sample in asked.samples
    ]
    found = families(rows)
    root = min(family.shared for family in found)
    spans = [(0, root), *((root, family.shared) for family in found)]
    for family in found:
        for row in family.rows:
            spans.append((family.shared, len(row.tokens) + answers[row.key].generated_tokens - 1))
    return model_flops(model, spans, sum(answer.generated_tokens for answer in answers.values()))


def public_answers(
    samples: Sequence[Sample], decoding: Decoding, model: Any, tokenizer: Any
) -> dict[str, tuple[str, int]]:
    """The text that each item gets, and the tokens of prompt and text together without the last one."""
    import torch

    answers = {}
    for sample in samples:
        encoded = tokenizer(sample.prompt, return_tensors="pt")
        length = encoded.input_ids.shape[1]
        limit = (
            (decoding.max_sequence_tokens or 0) - length
            if decoding.max_new_tokens is None
            else len(tokenizer(sample.target, add_special_tokens=False).input_ids)
        )
        with torch.inference_mode():
            output = model.generate(
                **encoded, max_new_tokens=limit, do_sample=False, pad_token_id=tokenizer.eos_token_id
            )
        text = tokenizer.decode(output[0, length:], skip_special_tokens=True)
        answers[sample.key] = text, output.shape[1] - 1
    return answers
