"""The vLLM engine, on the real vLLM: it answers as the transformers engine does, and leaves no process."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from evaluation import benchmarks, data, engines
from evaluation.benchmarks.samples import Completion, Decoding, Request
from evaluation.engines import Engine, vllm_support
from evaluation.engines.vllm import VllmEngine
from evaluation.errors import CheckpointError, EngineCrashError, ModelError, OutOfMemoryError
from evaluation.rules.protocol import CURRENT, Precision
from tests.evaluation.conftest import byte_tokenizer, make_adapter, make_tiny_llama

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

pytestmark = pytest.mark.vllm

from evaluation.engines.transformers import TransformersEngine  # noqa: E402 - needs the packages above

ROOT = Path(__file__).resolve().parents[2]
WORDS = "profit loss rises falls bank bond share price of the and in 2024 Helsinki".split()  # noqa: SIM905
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
SHORT, LONG = Decoding(max_new_tokens=3), Decoding(max_sequence_tokens=70)
SAMPLED = Decoding(max_new_tokens=12, temperature=0.9, top_p=0.95)
CONTEXT = 256
KINDS: dict[str, dict[str, Any]] = {
    "lora": {},
    "rslora": {"use_rslora": True},
    "ranks by module": {"rank_pattern": {"q_proj": 8, "layers.1.self_attn.v_proj": 2}},
    "alphas by module": {"alpha_pattern": {"v_proj": 3}},
    "one layer": {"layers_to_transform": [1]},
}


def requests(count: int = 8) -> list[Request]:
    chance = random.Random(7)
    return [
        Request(
            "fpb", f"{i}", "What is this? " + " ".join(chance.choices(WORDS, k=chance.randint(1, 9))), seed=i
        )
        for i in range(count)
    ]


def ask(engine: Engine, asked: Sequence[Request], decoding: Decoding) -> dict[str, Completion]:
    answers = list(engine.generate(asked, decoding, lambda _: None))
    assert sorted(a.key for a in answers) == sorted(r.key for r in asked)
    return {answer.key: answer for answer in answers}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama with heads that vLLM's CPU kernels take, two end tokens, and settings to be ignored."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tokenizer = byte_tokenizer()
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=CONTEXT,
        initializer_range=0.3,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    llama = transformers.LlamaForCausalLM(config)
    llama.generation_config = transformers.GenerationConfig(
        eos_token_id=[tokenizer.eos_token_id, 17], do_sample=True, temperature=3.0, repetition_penalty=5.0
    )
    llama.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def adapters(model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("adapters")
    return {
        kind: make_adapter(model, folder / kind.replace(" ", "-"), seed=seed, **options)
        for seed, (kind, options) in enumerate(KINDS.items())
    }


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """For models as small as these, several threads wait for each other longer than they work."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def engine(model: Path, adapters: dict[str, Path]) -> Iterator[VllmEngine]:
    engine = VllmEngine()
    engine.open(model, "fp32")
    engine.use_adapter(adapters["lora"])  # loads the model once, with room for all of the adapters
    yield engine
    engine.close()


@pytest.fixture
def bare(engine: VllmEngine) -> VllmEngine:
    """The same engine without an adapter, whatever the test before left."""
    engine.use_adapter(None)
    return engine


@pytest.fixture(scope="module")
def peer(model: Path) -> Iterator[TransformersEngine]:
    engine = TransformersEngine()
    engine.open(model, "fp32")
    yield engine
    engine.close()


@pytest.mark.parametrize("kind", [None, *KINDS])
def test_answers_are_those_of_the_transformers_engine(
    kind: str | None, bare: VllmEngine, peer: TransformersEngine, adapters: dict[str, Path]
) -> None:
    adapter = adapters[kind] if kind else None
    bare.use_adapter(adapter)
    peer.use_adapter(adapter)
    answers = ask(bare, requests(), LONG)
    assert answers == ask(peer, requests(), LONG)
    assert len({answer.text for answer in answers.values()}) > 3, "the answers tell the prompts apart"


def test_the_answers_end_at_each_of_the_models_end_tokens(bare: VllmEngine, model: Path) -> None:
    answers = ask(bare, requests(40), LONG).values()
    early = [a for a in answers if a.prompt_tokens + a.generated_tokens < 70]
    assert early
    assert len(early) < 40
    assert bare.count_tokens("four") == 4


def test_an_adapter_changes_the_answers_and_leaves_no_residue(
    bare: VllmEngine, adapters: dict[str, Path]
) -> None:
    child = bare._child
    before = ask(bare, requests(), LONG)
    with_adapter = []
    for kind in ("lora", "rslora", "lora"):
        bare.use_adapter(adapters[kind])
        with_adapter.append(ask(bare, requests(), LONG))
    bare.use_adapter(None)
    assert ask(bare, requests(), LONG) == before
    assert with_adapter[0] == with_adapter[2]
    assert before != with_adapter[0] != with_adapter[1]
    assert bare._child is child, "the base model stays loaded"


def test_answers_do_not_depend_on_order_or_company(bare: VllmEngine) -> None:
    for decoding in (LONG, SAMPLED):
        together = ask(bare, requests(), decoding)
        assert ask(bare, requests()[::-1], decoding) == together
        alone: dict[str, Completion] = {}
        for request in requests():
            alone |= ask(bare, [request], decoding)
        assert alone == together


def test_what_is_sampled_depends_on_the_seed(bare: VllmEngine) -> None:
    prompts = [Request("fpb", f"{seed}", "What is this?", seed) for seed in (0, 1, 2, 2**32 - 1)]
    texts = [answer.text for answer in ask(bare, prompts, SAMPLED).values()]
    assert len(set(texts)) == 4
    same = [Request("fpb", f"{i}", "What is this?", 5) for i in range(3)]
    assert len({answer.text for answer in ask(bare, same, SAMPLED).values()}) == 1


def test_an_answer_ends_at_a_stop_which_it_holds(bare: VllmEngine, peer: TransformersEngine) -> None:
    peer.use_adapter(None)
    whole = {key: answer.text or "" for key, answer in ask(bare, requests(), LONG).items()}
    stop = next(text[10:12] for text in whole.values() if len(text) > 20)
    decoding = Decoding(max_sequence_tokens=70, stop=(stop, "never"))
    ended = ask(bare, requests(), decoding)
    assert ended == ask(peer, requests(), decoding)
    assert any(stop in text and len(ended[key].text or "") < len(text) for key, text in whole.items())


def test_a_prompt_without_room_for_an_answer_is_unanswered(
    bare: VllmEngine, peer: TransformersEngine
) -> None:
    peer.use_adapter(None)
    asked = [Request("fpb", "long", "x" * CONTEXT), Request("fpb", "fits", "x" * (CONTEXT - 1))]
    answers = ask(bare, asked, SHORT)
    assert answers["long"].text is None
    assert answers["fits"].generated_tokens == 1
    for decoding in (SHORT, Decoding(max_sequence_tokens=CONTEXT - 1)):
        assert ask(bare, asked, decoding) == ask(peer, asked, decoding)


def test_progress_counts_up_to_all_while_it_runs(bare: VllmEngine) -> None:
    counts: list[int] = []
    list(bare.generate(requests(40), LONG, counts.append))
    assert counts[0] == 0
    assert counts[-1] == 40
    assert counts == sorted(counts)
    assert len(counts) > 3
    assert list(bare.generate([], LONG, counts.append)) == []


def test_what_ran_is_told(bare: VllmEngine) -> None:
    facts = bare.facts()
    assert (facts.name, facts.version) == ("vllm", "0.32.0")
    assert facts.device
    assert (facts.peak_vram_bytes is None) == (facts.device == "cpu")
    assert facts.peak_rss_bytes
    assert facts.peak_rss_bytes > 10**8
    assert not facts.batch_invariant  # the weights are fp32


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda config, _: config.update(use_dora=True), "DoRA is not supported by vLLM"),
        (lambda config, _: config.update(r=8), "does not fit the base model"),
        (lambda config, _: config.update(target_modules=["q_proj"]), "does not target this module"),
        (lambda _, weights: weights.popitem(), "does not fit the base model"),
        (
            lambda _, weights: weights.update(
                {name.replace("layers.1", "layers.7"): weights.pop(name) for name in list(weights)}
            ),
            "does not fit the base model",
        ),
        (lambda config, _: config.update(peft_type="IA3"), "IA3"),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused_and_the_base_stays_right(
    spoil: Any, message: str, bare: VllmEngine, adapters: dict[str, Path], tmp_path: Path
) -> None:
    before = ask(bare, requests(3), SHORT)
    folder = spoilt(adapters["lora"], tmp_path / "spoilt", spoil)
    bare.use_adapter(adapters["lora"])
    with pytest.raises(CheckpointError, match=message):
        bare.use_adapter(folder)
    bare.use_adapter(None)
    assert ask(bare, requests(3), SHORT) == before


def spoilt(adapter: Path, folder: Path, spoil: Any) -> Path:
    from safetensors.torch import load_file, save_file

    shutil.copytree(adapter, folder)
    config = json.loads((folder / "adapter_config.json").read_text())
    weights = load_file(folder / "adapter_model.safetensors")
    spoil(config, weights)
    (folder / "adapter_config.json").write_text(json.dumps(config))
    save_file(weights, folder / "adapter_model.safetensors")
    return folder


def test_what_vllm_itself_would_leave_out_of_an_adapter_is_noticed(
    bare: VllmEngine, adapters: dict[str, Path], tmp_path: Path
) -> None:
    """vLLM takes tensors of a layer that the model does not have without a word."""

    def add(_: Any, weights: dict[str, Any]) -> None:
        weights.update(
            {name.replace("layers.1", "layers.7"): tensor.clone() for name, tensor in weights.items()}
        )

    folder = spoilt(adapters["lora"], tmp_path / "spoilt", add)
    assert bare._child is not None
    with pytest.raises(CheckpointError, match=r"leaves out 2 modules of the adapter, first: .*layers\.7"):
        bare._child.ask({"do": "adapter", "adapter": str(folder)})


def test_a_call_that_is_abandoned_reaches_no_other(bare: VllmEngine) -> None:
    whole = ask(bare, requests(), LONG)
    abandoned = bare.generate(requests(30), LONG, lambda _: None)
    next(abandoned)
    abandoned.close()  # type: ignore[attr-defined] # it is a generator
    assert ask(bare, requests(), LONG) == whole


def test_a_killed_engine_is_an_error_and_closing_leaves_no_process(
    model: Path, adapters: dict[str, Path]
) -> None:
    engine = VllmEngine()
    engine.open(model, "fp32")
    engine.use_adapter(adapters["lora"])
    assert engine._child is not None
    first = psutil.Process(engine._child.pid)
    running = [first, *first.children(recursive=True)]
    answers = engine.generate(requests(200), Decoding(max_sequence_tokens=CONTEXT), lambda _: None)
    next(answers)
    os.kill(engine._child.pid, signal.SIGKILL)
    with pytest.raises(EngineCrashError, match="was killed"):
        list(answers)
    assert ask(engine, requests(2), SHORT), "it is started again, with the adapter"
    second = psutil.Process(engine._child.pid)
    running += [second, *second.children(recursive=True)]
    engine.close()
    engine.close()
    assert not [process for process in running if process.is_running()]
    with pytest.raises(ModelError, match="no base model is open"):
        engine.use_adapter(None)


def test_a_model_that_cannot_be_loaded_says_so(model: Path, tmp_path: Path) -> None:
    engine = VllmEngine()
    with pytest.raises(ModelError, match="cannot be loaded"):
        engine.open(tmp_path, "fp32")
    with pytest.raises(ModelError, match="nf4"):
        engine.open(model, "nf4")
    with pytest.raises(ModelError, match="heads of size 8"):
        engine.open(make_tiny_llama(tmp_path / "small-heads"), "fp32")
    pickled = shutil.copytree(model, tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"lacks model\.safetensors"):
        engine.open(pickled, "fp32")
    assert engine._child is None


def test_a_model_with_missing_tensors_is_refused(model: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(model, tmp_path / "holes")
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    engine = VllmEngine()
    with pytest.raises(ModelError, match=r"lacks 1 tensors, first: model\.layers\.1\.mlp\.up_proj\.weight"):
        engine.open(folder, "fp32")
    assert engine._child is None


def test_a_model_that_is_too_large_is_known_before_it_is_loaded(model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model, tmp_path / "huge")
    with (folder / "model.safetensors").open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        tensors = json.loads(file.read(length))
        end = max(entry["data_offsets"][1] for name, entry in tensors.items() if name != "__metadata__")
        huge = {"dtype": "BF16", "shape": [2**20, 2**20], "data_offsets": [end, end + 2**41]}
        header = json.dumps(tensors | {"huge": huge}).encode()
        file.seek(0)
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + end + 2**41)  # a hole: it takes no space on the disk
    engine = VllmEngine()
    engine.open(folder, "bf16")
    with pytest.raises(OutOfMemoryError, match=r"take 2,097,15\d MiB"):
        engine.use_adapter(None)
    engine.close()


def test_the_modules_that_get_lora_are_what_vllm_says() -> None:
    """Run apart: importing vLLM is what the engine spares this process."""
    import subprocess
    import sys

    program = (
        "import json, sys\n"
        "from vllm import ModelRegistry\n"
        "from vllm.model_executor.models.registry import _TEXT_GENERATION_MODELS as known\n"
        "import importlib\n"
        "found = {}\n"
        "for name in json.loads(sys.argv[1]):\n"
        "    module, attribute = known[name]\n"
        "    model = getattr(importlib.import_module('vllm.model_executor.models.' + module), attribute)\n"
        "    found[name] = [bool(getattr(model, 'supports_lora', False)), model.packed_modules_mapping]\n"
        "print(json.dumps(found))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, json.dumps(list(vllm_support.TARGETS))],
        env=os.environ | {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1"},
        stdout=subprocess.PIPE,
        check=True,
    )
    for name, (lora, packed) in json.loads(done.stdout.splitlines()[-1]).items():
        assert lora, name
        parts = {part for parts in packed.values() for part in parts}
        assert parts <= vllm_support.TARGETS[name], name


@pytest.mark.model
def test_the_real_model_answers_alike_on_both_engines(smollm2: Path) -> None:
    """In fp32 always; in bf16 wherever the two likeliest tokens are not so near that its rounding decides."""
    asked = [
        Request(slug, f"{slug} {sample.key}", sample.prompt)
        for slug in ("mmlu_stem", "medqa")
        for sample in data.load(benchmarks.get(slug), data.DEMONSTRATION, CURRENT, 20).samples
    ]
    answers = {}
    for name, precision in itertools.product(("transformers", "vllm"), PRECISIONS):
        engine = engines.create(name)
        engine.open(smollm2, precision)
        engine.use_adapter(None)
        answers[name, precision] = {
            key: answer.text for key, answer in ask(engine, asked, Decoding(max_new_tokens=1)).items()
        }
        engine.close()
    assert answers["vllm", "fp32"] == answers["transformers", "fp32"]
    clear = clear_cases(smollm2, asked)
    assert len(clear) > 20
    agreed = sum(answers["vllm", "bf16"][key] == answers["transformers", "bf16"][key] for key in clear)
    assert agreed >= 0.98 * len(clear)


def clear_cases(folder: Path, asked: Sequence[Request]) -> list[str]:
    """The keys of requests whose likeliest token leads by half a logit in fp32."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    clear = []
    for request in asked:
        with torch.inference_mode():
            logits = model(torch.tensor([tokenizer(request.prompt).input_ids]), logits_to_keep=1).logits
        first, second = logits[0, -1].topk(2).values.tolist()
        if first - second > 0.5:
            clear.append(request.key)
    return clear
