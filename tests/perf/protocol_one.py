"""Protocol 1 in its own arithmetic, 4-bit fp4 computed in fp32, against the public procedure.

The peer does what that procedure does: `from_pretrained` with `load_in_4bit` alone in fp32, PEFT's adapter on
top, one `generate` call an item, on the same items. Its layers compute by definition, as they do on a GPU:
with AVX512-BF16 bitsandbytes would round scales and products to bf16.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evaluation import benchmarks, data, engines
from evaluation.benchmarks.samples import Request
from evaluation.demonstration.base_model import build
from evaluation.engines import Engine
from evaluation.rules import protocol
from tests.perf.evaluation_speed import MODEL, ROOT, public_answers, rows, timed
from tests.perf.measure import Comparison

ITEMS = 60
BENCHMARKS = ("mmlu_stem", "pubmedqa", "fpb")
ADAPTER = ROOT.parent / "shared" / "checkpoints" / "fed_smollm2"
FIRST = protocol.get(1)


def compare() -> Iterator[Comparison]:
    from transformers import AutoTokenizer

    folder = build(MODEL)
    adapter = ADAPTER if ADAPTER.is_dir() else None
    engine = engines.create("transformers")
    engine.open(folder, "fp4")
    engine.use_adapter(adapter)
    peer, tokenizer = _public_model(folder, adapter), AutoTokenizer.from_pretrained(folder)
    for slug in BENCHMARKS:
        yield _compared(slug, engine, peer, tokenizer)
    engine.close()


def _compared(slug: str, engine: Engine, peer: Any, tokenizer: Any) -> Comparison:
    benchmark = benchmarks.get(slug)
    samples = data.load(benchmark, rows(), FIRST, ITEMS).samples
    decoding = benchmark.decoding(FIRST, engine.count_tokens)
    asked = [Request(slug, sample.key, sample.prompt) for sample in samples]
    seconds, found = timed(lambda: list(engine.generate(asked, decoding, lambda _: None)))
    peer_seconds, texts = timed(lambda: public_answers(samples, decoding, peer, tokenizer))
    here = {answer.key: benchmark.read(answer.text or "") for answer in found}
    same = sum(here[key] == benchmark.read(text) for key, (text, _) in texts.items())
    return Comparison(
        f"{benchmark.title} in fp4, {len(samples)} items",
        seconds,
        "one generate call an item",
        peer_seconds,
        f"{same} of {len(samples)} answers the same",
    )


def _public_model(folder: Path, adapter: Path | None) -> Any:
    import torch
    from bitsandbytes.nn import Linear4bit
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, quantization_config=BitsAndBytesConfig(load_in_4bit=True)
    )
    for layer in model.modules():
        if isinstance(layer, Linear4bit):
            layer.support_avx512bf16_for_cpu = False
    return (PeftModel.from_pretrained(model, adapter) if adapter else model).eval()
