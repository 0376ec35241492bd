"""Protocol 1 in its own arithmetic, 4-bit fp4 computed in fp32, against the public procedure's own code.

The peer is what that procedure does: `from_pretrained(load_in_4bit)` in fp32, PEFT's adapter on top, one
`generate` call an item. It is asked once by the definition of its weights and once as bitsandbytes computes
on this processor, which with AVX512-BF16 rounds scales and products to bf16. Both must read the same answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evaluation import benchmarks, data, engines
from evaluation.benchmarks.samples import Request
from evaluation.demonstration.base_model import build
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
    tokenizer = AutoTokenizer.from_pretrained(folder)
    engine = engines.create("transformers")
    engine.open(folder, "fp4")
    engine.use_adapter(adapter)
    peers = {"by definition": _public_model(folder, adapter, packed=False)}
    if _packs(peers["by definition"]):
        peers["packed for this processor"] = _public_model(folder, adapter, packed=True)
    for slug in BENCHMARKS:
        benchmark = benchmarks.get(slug)
        samples = data.load(benchmark, rows(), FIRST, ITEMS).samples
        decoding = benchmark.decoding(FIRST, engine.count_tokens)
        asked = [Request(slug, sample.key, sample.prompt) for sample in samples]
        seconds, found = timed(lambda: list(engine.generate(asked, decoding, lambda _: None)))  # noqa: B023
        here = {answer.key: benchmark.read(answer.text or "") for answer in found}
        for name, peer in peers.items():
            peer_seconds, texts = timed(
                lambda: public_answers(samples, decoding, peer, tokenizer)  # noqa: B023
            )
            same = sum(here[key] == benchmark.read(text) for key, (text, _) in texts.items())
            yield Comparison(
                f"{benchmark.title} in fp4, {len(samples)} items",
                seconds,
                f"one generate call an item, {name}",
                peer_seconds,
                f"{same} of {len(samples)} answers the same",
            )
    engine.close()


def _public_model(folder: Path, adapter: Path | None, *, packed: bool) -> Any:
    import torch
    from bitsandbytes.nn import Linear4bit
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, quantization_config=BitsAndBytesConfig(load_in_4bit=True)
    )
    for layer in model.modules():
        if isinstance(layer, Linear4bit) and not packed:
            layer.support_avx512bf16_for_cpu = False
    return (PeftModel.from_pretrained(model, adapter) if adapter else model).eval()


def _packs(model: Any) -> bool:
    """Whether bitsandbytes has a product of its own for this processor."""
    from bitsandbytes.functional import has_avx512bf16

    return bool(has_avx512bf16()) and next(model.parameters()).device.type == "cpu"
