"""The seam for kinds of adapters: one object brings a new one to every check, count and choice."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
from safetensors.numpy import save

from evaluation import adapter_kinds, rules
from evaluation.adapter_kinds import KINDS, LORA, AdapterKind, Part
from evaluation.checkpoints import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_FILE,
    inspect_adapter,
    inspect_adapter_config,
    normalised_adapter_config,
)
from evaluation.checkpoints.base_model import BaseModelTensors
from evaluation.flowerconfig import CONFIG_FILE
from evaluation.inspection import Known, inspect
from evaluation.inspection.base_model import KnownBase
from evaluation.inspection.material import Material, MaterialFile
from evaluation.method.card import MethodCard
from evaluation.method.communication import adapter_parameters
from evaluation.method.strategies import STRATEGIES

BASE = BaseModelTensors({"model.layers.0.self_attn.q_proj.weight": (6, 4)}, tie_word_embeddings=False)
MODULE = "base_model.model.model.layers.0.self_attn.q_proj"


@pytest.fixture
def gated(monkeypatch: pytest.MonkeyPatch) -> AdapterKind:
    """A kind that nobody has: LoRA with a trained number a row, of a PEFT type of its own."""
    gate = Part("lora_gate", ("", ".default"), ("rows", "rank"), None, "zeros")
    kind = replace(
        LORA,
        key="gated",
        title="Gated LoRA",
        peft_type="GATED",
        settings={},
        trained=False,
        parts=(*LORA.parts, gate),
        beyond_product="its gate changes",
    )
    monkeypatch.setitem(KINDS, kind.key, kind)
    return kind


def tensors(*names: str) -> bytes:
    shapes = {"lora_A.weight": (2, 4), "lora_B.weight": (6, 2), "lora_gate": (6, 2)}
    return save({f"{MODULE}.{name}": numpy.ones(shapes[name], numpy.float32) for name in names})


def settings(peft_type: str) -> bytes:
    return json.dumps(
        {
            "peft_type": peft_type,
            "task_type": "CAUSAL_LM",
            "r": 2,
            "lora_alpha": 4,
            "target_modules": ["q_proj"],
        }
    ).encode()


def test_a_new_kind_is_checked_counted_and_loaded_by_its_one_object(gated: AdapterKind) -> None:
    config, found = inspect_adapter_config(settings("GATED"), base_hub_id=None)
    assert config is not None and config.kind is gated and not found
    content = tensors("lora_A.weight", "lora_B.weight", "lora_gate")
    summary, found = inspect_adapter(io.BytesIO(content), len(content), config, BASE)
    assert summary is not None and summary.ranks == (2,), found
    assert normalised_adapter_config(config, "base", summary)["peft_type"] == "GATED"
    card = MethodCard(rank=2, peft_type="GATED", target_modules=("q_proj",))
    assert adapter_parameters(card, BASE) == summary.parameters == 2 * 4 + 6 * 2 + 6 * 2
    assert ("PEFT", "Gated LoRA, rank 2") in card.rows()


def test_a_new_kind_goes_through_the_whole_inspection(gated: AdapterKind, shared: Path) -> None:
    app = (shared / "configs" / "flower_template_finance_2026.toml").read_bytes()
    content = tensors("lora_A.weight", "lora_B.weight", "lora_gate")
    material = Material(
        config=MaterialFile.of_bytes(app, CONFIG_FILE),
        adapter_config=MaterialFile.of_bytes(settings("GATED"), ADAPTER_CONFIG_FILE),
        adapter=MaterialFile.of_bytes(content, ADAPTER_FILE),
    )
    inspection = inspect(material, rules.of("finance"), Known(base=KnownBase(tensors=BASE)))
    assert inspection.adapter_config and inspection.adapter_config.kind is gated and inspection.adapter


def test_of_kinds_of_one_type_the_one_that_asks_most_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    bound = replace(LORA, key="bound", title="Bound LoRA", settings={"use_dora": False, "use_bound": True})
    monkeypatch.setitem(KINDS, bound.key, bound)
    assert adapter_kinds.of_settings("LORA", {"use_bound": True}) is bound
    assert adapter_kinds.of_settings("LORA", {}) is LORA


def test_training_offers_only_what_its_settings_can_say(gated: AdapterKind) -> None:
    assert list(adapter_kinds.trained()) == ["lora", "dora"]


def test_a_new_kind_lacks_what_its_object_names(gated: AdapterKind) -> None:
    config, _ = inspect_adapter_config(settings("GATED"), base_hub_id=None)
    content = tensors("lora_A.weight", "lora_B.weight")
    summary, found = inspect_adapter(io.BytesIO(content), len(content), config, BASE)
    assert summary is None
    assert [(f.code, f.location.rpartition(": ")[2]) for f in found] == [
        ("adapter.incomplete_module", f"{MODULE}.lora_gate")
    ]


def test_strategies_on_products_refuse_a_new_kind_that_is_none(gated: AdapterKind) -> None:
    assert "gated" in STRATEGIES["fedavg"].adapters
    assert "gated" not in STRATEGIES["flexlora"].adapters
    assert STRATEGIES["flexlora"].refusal(gated).endswith("product of A and B, which its gate changes")


def test_a_type_that_no_kind_has_is_refused_with_those_that_are_taken() -> None:
    config, (finding,) = inspect_adapter_config(settings("GATED"), base_hub_id=None)
    assert config is None
    assert finding.code == "adapter_config.peft_type"
    assert "LoRA or DoRA" in finding.message


@pytest.mark.parametrize(
    ("peft_type", "use_dora", "title"),
    [
        ("LORA", False, "LoRA"),
        ("lora", None, "LoRA"),
        ("LORA", True, "DoRA"),
        (None, True, "DoRA"),
        (None, None, ""),
        ("IA3", None, "IA3"),
    ],
)
def test_a_card_states_its_kind(peft_type: str | None, use_dora: bool | None, title: str) -> None:
    assert adapter_kinds.title(peft_type, use_dora) == title


def test_the_kinds_are_light_to_import() -> None:
    code = (
        "import sys, evaluation.adapter_kinds; "
        "heavy = {'torch', 'numpy', 'peft'} & sys.modules.keys(); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
