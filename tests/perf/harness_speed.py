"""Items a second of the transformers engine on MMLU, against lm-evaluation-harness's `hf` on the same items.

Each asks in its own words. The harness scores the four letters behind its own prompt, whose template is that
of its task `mmlu`, at batch size 1, its default, and at 16. It is no dependency of this project:
`pip install --no-deps --target FOLDER` puts it and what it imports into a folder for PYTHONPATH.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from evaluation import benchmarks, data, engines
from evaluation.benchmarks.samples import Request
from evaluation.demonstration.base_model import build
from evaluation.rules.protocol import CURRENT
from tests.perf.evaluation_speed import MODEL, rows, timed
from tests.perf.measure import Comparison

SLUG = "mmlu_stem"
ITEMS, ROUNDS = 96, 3
BATCH_SIZES = (1, 16)
_LETTERS = "ABCD"


def compare() -> Iterator[Comparison]:
    if find_spec("lm_eval") is None:
        print("  skipped: lm_eval is not installed (pip install lm_eval, or a folder on PYTHONPATH)")
        return
    folder = build(MODEL)
    engine = engines.create("transformers")
    engine.open(folder, "fp32")
    benchmark = benchmarks.get(SLUG)
    samples = data.load(benchmark, rows(), CURRENT, ITEMS).samples
    decoding = benchmark.decoding(CURRENT, engine.count_tokens)
    requests = [Request(SLUG, sample.key, sample.prompt) for sample in samples]
    asked = [_harness_prompt(sample.prompt, sample.group) for sample in samples]
    harness = {size: _harness(str(folder), size) for size in BATCH_SIZES}
    here: list[float] = []
    there: dict[int, list[float]] = {size: [] for size in BATCH_SIZES}
    for _ in range(ROUNDS):
        here.append(timed(lambda: list(engine.generate(requests, decoding, lambda _: None)))[0])
        for size, model in harness.items():
            instances = _instances(asked)
            there[size].append(timed(lambda m=model, i=instances: m.loglikelihood(i, disable_tqdm=True))[0])  # type: ignore[misc]
    engine.close()
    for size in BATCH_SIZES:
        yield Comparison(
            f"{benchmark.title}, {len(samples)} items",
            min(here),
            f"lm-evaluation-harness's hf at batch size {size}",
            min(there[size]),
            f"{len(samples) / min(here):.2f} items a second against {len(samples) / min(there[size]):.2f}",
        )


def _harness(folder: str, batch_size: int) -> Any:
    model = importlib.import_module("lm_eval.models.huggingface").HFLM
    return model(pretrained=folder, dtype="float32", device="cpu", batch_size=batch_size)


def _harness_prompt(prompt: str, subject: str) -> str:
    """The item in the words of the harness's task."""
    question = prompt.partition("Question: ")[2].partition("\nThe answer is:")[0].replace("\n\nOptions:", "")
    name = subject.replace("_", " ")
    return f"The following are multiple choice questions (with answers) about {name}.\n\n{question}\nAnswer:"


def _instances(prompts: list[str]) -> list[Any]:
    instance = importlib.import_module("lm_eval.api.instance").Instance
    return [
        instance("loglikelihood", {}, (prompt, f" {letter}"), position)
        for prompt in prompts
        for position, letter in enumerate(_LETTERS)
    ]
