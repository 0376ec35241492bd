"""The transformers engine on models of other kinds: answers in batches are those of `generate` one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evaluation.benchmarks.samples import Decoding, Request
from tests.evaluation.conftest import byte_tokenizer

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

from evaluation.engines.transformers import TransformersEngine  # noqa: E402 - needs the packages above

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.4,
}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "windowed attention": ("MistralConfig", SIZES | {"sliding_window": 12}),
    "window and whole in turn": ("Gemma2Config", SIZES | {"sliding_window": 12, "head_dim": 8}),
    "own norms of queries and keys": ("Qwen3Config", SIZES | {"head_dim": 8}),
    "queries, keys and values in one": ("Phi3Config", SIZES | {"pad_token_id": 0}),
    "learned positions": (
        "GPT2Config",
        {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256, "initializer_range": 0.4},
    ),
    "positions from the mask": ("BloomConfig", {"hidden_size": 32, "n_layer": 2, "n_head": 4}),
    "a state instead of keys": (
        "MambaConfig",
        {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4, "initializer_range": 0.4},
    ),
}
PROMPTS = ["What is the sentiment of this? " + "word " * (i % 4) + chr(97 + i) for i in range(7)]
LENGTH = 24


@pytest.mark.filterwarnings("ignore")  # some say that fast kernels are not installed, or advise on options
@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_answers_are_those_of_generate(family: tuple[str, dict[str, Any]], tmp_path: Path) -> None:
    name, options = family
    tokenizer = byte_tokenizer()
    tokenizer.save_pretrained(tmp_path)
    torch.manual_seed(0)
    ends = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id}
    config = getattr(transformers, name)(vocab_size=len(tokenizer), **ends, **options)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(3)  # so that the answers tell the prompts apart
    model.save_pretrained(tmp_path)
    engine = TransformersEngine()
    engine.open(tmp_path, "fp32")
    requests = [Request("fpb", f"{i}", prompt) for i, prompt in enumerate(PROMPTS)]
    found = {a.key: a for a in engine.generate(requests, Decoding(max_new_tokens=LENGTH), lambda _: None)}
    for request in requests:
        ids = tokenizer(request.prompt, return_tensors="pt").input_ids
        output = model.generate(ids, max_new_tokens=LENGTH, do_sample=False, pad_token_id=0)
        expected = tokenizer.decode(output[0, ids.shape[1] :], skip_special_tokens=True)
        assert found[request.key].text == expected
    assert len({answer.text for answer in found.values()}) > 2
