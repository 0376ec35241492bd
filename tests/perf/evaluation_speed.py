"""Items a second of the transformers engine, against one `generate` call an item on the same model.

One call an item is how the public evaluation code works. Both run SmolLM2-135M-Instruct in fp32 on the
same demonstration items and must read the same answers.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from evaluation import benchmarks, data, engines
from evaluation.demonstration.base_model import build
from evaluation.protocol import CURRENT
from evaluation.samples import Request
from tests.perf.measure import Comparison

MODEL = Path("var/models/smollm2-135m-instruct")
BENCHMARKS = ("mmlu_stem", "medqa", "fpb")
ITEMS = 32


def compare() -> Iterator[Comparison]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = build(MODEL)
    engine = engines.create("transformers")
    engine.open(folder, "fp32")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    peer = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    for slug in BENCHMARKS:
        benchmark = benchmarks.get(slug)
        samples = data.load(benchmark, data.DEMONSTRATION, CURRENT, ITEMS).samples
        decoding = benchmark.decoding(CURRENT, engine.count_tokens)
        requests = [Request(slug, sample.key, sample.prompt) for sample in samples]
        list(engine.generate(requests[:2], decoding, lambda _: None))
        start = time.perf_counter()
        ours = {
            c.key: benchmark.read(c.text or "") for c in engine.generate(requests, decoding, lambda _: None)
        }
        seconds = time.perf_counter() - start

        start = time.perf_counter()
        theirs = {}
        for sample in samples:
            encoded = tokenizer(sample.prompt, return_tensors="pt")
            length = encoded.input_ids.shape[1]
            limit = decoding.max_new_tokens or (decoding.max_sequence_tokens or 0) - length
            with torch.inference_mode():
                output = peer.generate(
                    **encoded, max_new_tokens=limit, do_sample=False, pad_token_id=tokenizer.eos_token_id
                )
            theirs[sample.key] = benchmark.read(
                tokenizer.decode(output[0, length:], skip_special_tokens=True)
            )
        peer_seconds = time.perf_counter() - start
        same = sum(ours[key] == theirs[key] for key in theirs)
        yield Comparison(
            f"{benchmark.title}, {len(samples)} items",
            seconds,
            "one generate call an item",
            peer_seconds,
            f"{len(samples) / seconds:.1f} items a second, {same} of {len(samples)} answers the same",
        )
    engine.close()
