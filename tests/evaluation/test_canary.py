"""The canary: batches that answer otherwise are noticed, rounding is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluation.benchmarks.samples import Decoding, Request
from evaluation.errors import ModelError
from tests.evaluation.conftest import make_adapter

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from safetensors.torch import load_file, save_file  # noqa: E402 - they need the packages above

from evaluation.engines import canary, kv_cache  # noqa: E402
from evaluation.engines.forward import Forward  # noqa: E402
from evaluation.engines.transformers import TransformersEngine  # noqa: E402


@pytest.fixture
def engine(tiny_llama: Path) -> TransformersEngine:
    engine = TransformersEngine()
    engine.open(tiny_llama, "fp32")
    return engine


def test_what_it_found_stands_with_the_result(
    engine: TransformersEngine, tiny_llama: Path, tmp_path: Path
) -> None:
    assert engine.facts().batching == ""
    engine.use_adapter(make_adapter(tiny_llama, tmp_path / "adapter"))
    assert engine.facts().batching == canary.TOGETHER


@pytest.mark.parametrize("precision", ["bf16", "nf4"])
def test_rounding_is_no_difference(precision: Any, tiny_llama: Path) -> None:
    engine = TransformersEngine()
    engine.open(tiny_llama, precision)
    engine.use_adapter(None)
    assert engine.facts().batching == canary.TOGETHER


def without_positions(forward: Forward) -> None:
    forward._takes_positions = False


def without_mask(forward: Forward) -> None:
    call = forward._call
    forward._call = lambda ids, _, *rest, **keep: call(ids, None, *rest, **keep)  # type: ignore[method-assign]


@pytest.mark.parametrize("spoil", [without_positions, without_mask])
def test_a_model_that_batches_spoil_is_asked_one_prompt_at_a_time(
    spoil: Callable[[Forward], None], engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [Request("fpb", f"{i}", "word " * (i * 3) + chr(97 + i)) for i in range(5)]
    right = {a.key: a.text for a in engine.generate(requests, Decoding(max_new_tokens=8), lambda _: None)}
    engine.use_adapter(None)
    make = Forward.__init__

    def spoilt(self: Forward, *args: Any, **options: Any) -> None:
        make(self, *args, **options)
        spoil(self)

    monkeypatch.setattr(Forward, "__init__", spoilt)
    engine.use_adapter(None)
    assert engine.facts().batching == canary.ALONE
    found = {a.key: a.text for a in engine.generate(requests, Decoding(max_new_tokens=8), lambda _: None)}
    assert found == right


def test_a_model_that_is_never_right_is_refused_in_words(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = Forward._call

    def forgetful(self: Forward, ids: Any, mask: Any, positions: Any, cache: Any, *, keep: bool) -> Any:
        logits, kept = call(self, ids, mask, [[0] * len(row) for row in positions], cache, keep=keep)
        return logits, kept

    monkeypatch.setattr(Forward, "_call", forgetful)
    with pytest.raises(ModelError, match=r"LlamaForCausalLM .* prompt of \d+ tokens differ by \d"):
        engine.use_adapter(None)


def test_a_diverged_adapter_is_refused_as_such(
    engine: TransformersEngine, tiny_llama: Path, tmp_path: Path
) -> None:
    adapter = make_adapter(tiny_llama, tmp_path / "adapter")
    path = adapter / "adapter_model.safetensors"
    save_file({name: torch.full_like(tensor, 1e30) for name, tensor in load_file(path).items()}, path)
    with pytest.raises(ModelError, match="diverged"):
        engine.use_adapter(adapter)


def test_a_cache_that_mixes_rows_up_is_noticed(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    merged = kv_cache._stacked
    monkeypatch.setattr(kv_cache, "_stacked", lambda parts, width: merged(parts, width).roll(1, 0))
    engine.use_adapter(None)
    assert engine.facts().batching == canary.ALONE
