"""The transformers engine on a tiny random Llama: answers depend on prompt, model and adapter alone."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from evaluation.benchmarks.samples import Completion, Decoding, Request
from evaluation.errors import CheckpointError, ModelError
from tests.evaluation.conftest import make_adapter, make_tiny_llama

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from evaluation.engines.transformers import TransformersEngine  # noqa: E402 - needs the packages above

PREAMBLE = "What is the sentiment of this? "
WORDS = "profit loss rises falls bank bond share price of the and in 2024 Helsinki".split()  # noqa: SIM905
SHORT, LONG = Decoding(max_new_tokens=3), Decoding(max_sequence_tokens=140)


def requests(count: int, preamble: str = PREAMBLE) -> list[Request]:
    chance = random.Random(7)
    return [
        Request("fpb", f"{i}", preamble + " ".join(chance.choices(WORDS, k=chance.randint(1, 14))))
        for i in range(count)
    ]


def open_engine(folder: Path, **limits: int) -> TransformersEngine:
    engine = TransformersEngine(**limits)
    engine.open(folder, "fp32")
    return engine


def ask(engine: TransformersEngine, asked: Sequence[Request], decoding: Decoding) -> dict[str, Completion]:
    answers = list(engine.generate(asked, decoding, lambda _: None))
    assert sorted(a.key for a in answers) == sorted(r.key for r in asked)
    return {answer.key: answer for answer in answers}


def logits(engine: TransformersEngine) -> Any:
    with torch.inference_mode():
        return engine._base()(torch.arange(40)[None]).logits


@pytest.fixture(scope="module")
def engine(tiny_llama: Path) -> Iterator[TransformersEngine]:
    engine = open_engine(tiny_llama)
    yield engine
    engine.close()


@pytest.fixture
def bare(engine: TransformersEngine) -> TransformersEngine:
    """The same engine without an adapter, whatever the test before left."""
    engine.use_adapter(None)
    return engine


@pytest.fixture(scope="module")
def adapters(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("adapters")
    return (
        make_adapter(tiny_llama, folder / "lora", seed=1),
        make_adapter(tiny_llama, folder / "dora", seed=2, use_dora=True),
    )


@pytest.mark.parametrize("decoding", [SHORT, LONG], ids=["short", "long"])
@pytest.mark.parametrize("preamble", [PREAMBLE, ""], ids=["shared prefix", "no shared prefix"])
@pytest.mark.parametrize("adapter", [None, 0, 1], ids=["base", "lora", "dora"])
def test_answers_do_not_depend_on_batches_order_or_padding(
    decoding: Decoding,
    preamble: str,
    adapter: int | None,
    adapters: tuple[Path, Path],
    bare: TransformersEngine,
    tiny_llama: Path,
) -> None:
    asked = requests(9, preamble)
    bare.use_adapter(None if adapter is None else adapters[adapter])
    together = ask(bare, asked, decoding)
    assert len({answer.text for answer in together.values()}) > 3, "the answers tell the prompts apart"
    assert ask(bare, asked[::-1], decoding) == together
    alone: dict[str, Completion] = {}
    for request in asked:  # one at a time: no padding, no neighbours, no shared prefix
        alone |= ask(bare, [request], decoding)
    assert alone == together
    small = open_engine(tiny_llama, batch_tokens=150, batch_rows=3)
    small.use_adapter(None if adapter is None else adapters[adapter])
    assert ask(small, asked, decoding) == together


def test_answers_are_the_models_own_greedy_ones(bare: TransformersEngine) -> None:
    """Against a plain loop of forward passes over one prompt, without cache, padding or generate()."""
    (request,) = requests(1)
    (answer,) = ask(bare, [request], SHORT).values()
    ids = bare._tokenizer(request.prompt).input_ids
    for _ in range(3):
        with torch.inference_mode():
            ids.append(int(bare._model(torch.tensor([ids])).logits[0, -1].argmax()))
    assert answer.text == bare._tokenizer.decode(ids[-3:], skip_special_tokens=True)
    assert (answer.prompt_tokens, answer.generated_tokens) == (len(ids) - 3, 3)


def test_a_row_ends_at_its_own_limit(bare: TransformersEngine) -> None:
    for answer in ask(bare, requests(6), LONG).values():
        ended = answer.prompt_tokens + answer.generated_tokens
        assert ended == 140 or answer.generated_tokens < 140 - answer.prompt_tokens


def test_a_row_ends_at_a_stop_which_its_completion_holds(bare: TransformersEngine) -> None:
    asked = requests(6)
    whole = {key: answer.text or "" for key, answer in ask(bare, asked, LONG).items()}
    stop = next(text[10:12] for text in whole.values() if text[10:12].isascii() and len(text) > 40)
    decoding = Decoding(max_sequence_tokens=140, stop=(stop,))
    ended = 0
    for key, answer in ask(bare, asked, decoding).items():
        position = whole[key].find(stop)
        expected = whole[key] if position < 0 else whole[key][: position + len(stop)]
        assert (answer.text or "").rstrip("\ufffd") == expected.rstrip("\ufffd")
        ended += position >= 0
    assert ended


def test_a_prompt_without_room_for_an_answer_is_unanswered(tmp_path: Path) -> None:
    small = open_engine(make_tiny_llama(tmp_path / "short", context=64))
    answers = ask(small, [Request("fpb", "long", "x" * 64), Request("fpb", "fits", "x" * 63)], SHORT)
    assert answers["long"].text is None
    assert "64 tokens and the limit is 64" in answers["long"].failure
    assert answers["fits"].generated_tokens == 1
    limited = ask(small, [Request("fpb", "long", "x" * 40)], Decoding(max_sequence_tokens=40))
    assert "the limit is 40" in limited["long"].failure


def test_an_empty_prompt_is_unanswered(bare: TransformersEngine) -> None:
    answers = ask(bare, [Request("fpb", "empty", ""), *requests(2)], SHORT)
    assert answers["empty"].failure == "the prompt has no tokens"
    assert answers["0"].text is not None


def test_progress_counts_up_to_all(bare: TransformersEngine) -> None:
    counts: list[int] = []
    asked = requests(20)
    list(bare.generate(asked, LONG, counts.append))
    assert counts[0] == 0
    assert counts[-1] == 20
    assert counts == sorted(counts)


def test_adapters_leave_no_residue(bare: TransformersEngine, adapters: tuple[Path, Path]) -> None:
    asked = requests(4)
    model, before, bare_answers = bare._model, logits(bare), ask(bare, asked, SHORT)
    attributes, modules = set(vars(model)), [name for name, _ in model.named_modules()]
    results = []
    for adapter in (*adapters, *adapters):
        bare.use_adapter(adapter)
        results.append(logits(bare))
        assert not torch.equal(results[-1], before)
        bare.use_adapter(None)
        assert bare._model is model, "the base model stays loaded"
        assert torch.equal(logits(bare), before)
    assert torch.equal(results[0], results[2])
    assert torch.equal(results[1], results[3])
    bare.use_adapter(adapters[0])
    bare.use_adapter(adapters[1])
    assert torch.equal(logits(bare), results[1]), "the next adapter replaces the one before"
    bare.use_adapter(None)
    assert ask(bare, asked, SHORT) == bare_answers
    assert set(vars(model)) == attributes
    assert [name for name, _ in model.named_modules()] == modules


def test_an_adapter_that_rewrites_base_weights_is_undone(
    bare: TransformersEngine, tiny_llama: Path, tmp_path: Path
) -> None:
    before = logits(bare)
    bare.use_adapter(make_adapter(tiny_llama, tmp_path / "pissa", init_lora_weights="pissa"))
    assert not torch.equal(logits(bare), before)
    bare.use_adapter(None)
    assert torch.equal(logits(bare), before)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda config, _: config.update(r=8), "does not fit"),
        (lambda config, _: config.update(target_modules=["nowhere"]), "does not fit"),
        (lambda _, weights: weights.popitem(), "lacks 1 tensors"),
        (lambda config, _: config.update(peft_type="IA3"), "peft_type must be LORA"),
        (lambda config, _: config.update(task_type="SEQ_CLS"), "task_type must be CAUSAL_LM"),
        (lambda config, _: config.update(megatron_config={"a": 1}), "megatron_config must be null"),
        (
            lambda _, weights: weights.update(
                {"base_model.model.model.embed_tokens.weight": torch.zeros(257, 32)}
            ),
            "would overwrite a weight of the base model",
        ),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused_and_the_base_stays_right(
    spoil: Any, message: str, bare: TransformersEngine, adapters: tuple[Path, Path], tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    before = logits(bare)
    folder = shutil.copytree(adapters[0], tmp_path / "spoilt")
    config = json.loads((folder / "adapter_config.json").read_text())
    weights = load_file(folder / "adapter_model.safetensors")
    spoil(config, weights)
    (folder / "adapter_config.json").write_text(json.dumps(config))
    save_file(weights, folder / "adapter_model.safetensors")
    with pytest.raises(CheckpointError, match=message):
        bare.use_adapter(folder)
    bare.use_adapter(None)
    assert torch.equal(logits(bare), before)


def test_a_pickle_is_never_taken_for_an_adapter(
    bare: TransformersEngine, adapters: tuple[Path, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(adapters[0], tmp_path / "pickled")
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(CheckpointError, match=r"has no adapter_model\.safetensors"):
        bare.use_adapter(folder)


def test_sampling_settings_of_a_model_do_not_reach_greedy_decoding(
    bare: TransformersEngine, tiny_llama: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_llama, tmp_path / "sampling")
    settings = json.loads((folder / "generation_config.json").read_text())
    settings |= {"do_sample": True, "temperature": 5.0, "repetition_penalty": 9.0, "max_length": 7}
    (folder / "generation_config.json").write_text(json.dumps(settings))
    asked = requests(4)
    assert ask(open_engine(folder), asked, LONG) == ask(bare, asked, LONG)


def test_a_model_that_cannot_be_loaded_says_so(tiny_llama: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be loaded"):
        open_engine(tmp_path)
    pickled = shutil.copytree(tiny_llama, tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(ModelError, match="cannot be loaded"):
        open_engine(pickled)


def test_a_model_with_missing_tensors_is_refused(tiny_llama: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(tiny_llama, tmp_path / "holes")
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="lacks 1 tensors"):
        open_engine(folder)


def test_a_model_with_code_of_its_own_is_refused(tiny_llama: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_llama, tmp_path / "code")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoModelForCausalLM": "mine.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text("raise SystemExit('ran')\n")
    with pytest.raises(ModelError, match="cannot be loaded"):
        open_engine(folder)


@pytest.mark.parametrize("precision", ["bf16", "nf4"])
def test_other_precisions_answer_too(precision: Any, tiny_llama: Path, adapters: tuple[Path, Path]) -> None:
    if precision == "nf4":
        pytest.importorskip("bitsandbytes")
    engine = TransformersEngine()
    engine.open(tiny_llama, precision)
    asked = requests(4)
    before = logits(engine)
    bare_answers = ask(engine, asked, SHORT)
    engine.use_adapter(adapters[0])
    assert ask(engine, asked, SHORT) != bare_answers
    engine.use_adapter(None)
    assert torch.equal(logits(engine), before)
