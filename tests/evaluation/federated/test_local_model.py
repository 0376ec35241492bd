"""The loaded model and what is put on it: DoRA, residuals, dropout and precisions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from evaluation.federated import training
from evaluation.federated.adapter import GlobalAdapter, first_values
from evaluation.federated.config import FederatedConfig
from evaluation.federated.factors import Arrays, chosen
from evaluation.federated.local_model import LocalModel, load, local_model

from .conftest import make_base_model

IDS = torch.tensor([[4, 5, 6, 7]])
SEED = "7"


def logits(local: LocalModel) -> torch.Tensor:
    with torch.no_grad():
        answer: torch.Tensor = local.model.eval()(input_ids=IDS).logits
        local.model.train()
    return answer


def residual(config: FederatedConfig, rank: int) -> Arrays:
    """A random residual for every adapted module."""
    random = numpy.random.default_rng(0)
    shapes = GlobalAdapter(config).shapes
    return {
        name.replace("lora_", "residual_"): random.normal(
            size=(rank, shapes[name][1]) if ".lora_A." in name else (shapes[name][0], rank)
        ).astype(numpy.float32)
        for name in chosen(shapes, "A") + chosen(shapes, "B")
    }


@pytest.mark.parametrize("adapter", ["lora", "dora"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_untrained_adapter_changes_nothing(adapter: str, precision: str, config: FederatedConfig) -> None:
    config = replace(config, adapter=adapter, precision=precision)
    local = local_model(config)
    local.put({}, SEED)
    dtype = torch.float32 if precision == "fp32" else torch.bfloat16
    base = AutoModelForCausalLM.from_pretrained(config.model, dtype=dtype)
    tolerance = 1e-6 if precision == "fp32" else 0.02
    torch.testing.assert_close(logits(local), base(input_ids=IDS).logits, rtol=tolerance, atol=tolerance)
    assert all(tensor.dtype == torch.float32 for tensor in local.tensors.values())


def test_dora_magnitudes_are_the_norms_of_the_base_weights(config: FederatedConfig) -> None:
    local = local_model(replace(config, adapter="dora"))
    base = AutoModelForCausalLM.from_pretrained(config.model)
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector"
    norms = base.model.layers[0].self_attn.q_proj.weight.norm(dim=1)
    numpy.testing.assert_allclose(local.magnitudes[name], norms.detach().numpy(), rtol=1e-6)
    assert not set(first_values({name: (16,)}, SEED))


def test_a_trained_dora_adapter_answers_alike_where_it_is_loaded(
    config: FederatedConfig, tmp_path: Path
) -> None:
    config = replace(config, adapter="dora", learning_rate=0.05)
    local = local_model(config)
    trained = training.train(config, 0, training.Work(1, 0.05), {}).arrays
    moved = [name for name in local.magnitudes if (trained[name] != local.magnitudes[name]).any()]
    assert moved
    GlobalAdapter(config).save(trained, tmp_path)
    loaded = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(config.model), tmp_path)
    torch.testing.assert_close(loaded(input_ids=IDS).logits, logits(local), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "nf4"])
def test_a_residual_comes_and_goes_without_a_trace(precision: str, config: FederatedConfig) -> None:
    config = replace(config, precision=precision)
    local = local_model(config)
    local.put({}, SEED)
    before = logits(local)
    local.put(residual(config, 3), SEED)
    with_residual = logits(local)
    assert not torch.allclose(before, with_residual)
    local.put({}, SEED)
    assert torch.equal(logits(local), before)
    local.put(residual(config, 3), SEED)
    assert torch.equal(logits(local), with_residual)


def test_training_on_4_bit_weights_is_alike_on_every_processor(
    config: FederatedConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With and without the instructions for which bitsandbytes would pack the weights once they answer."""
    model = make_base_model(tmp_path / "model", width=64)  # rows that hold whole blocks of 4-bit weights
    config = replace(config, model=model, precision="nf4", held_out=2, evaluate_every=1)
    outcomes = []
    for packs in (False, True):
        monkeypatch.setattr("bitsandbytes.nn.modules.has_avx512bf16", lambda packs=packs: packs)
        load.cache_clear()
        first = training.train(config, 0, training.Work(1, 0.01), {})
        held_out = training.held_out_loss(config, first.arrays)
        second = training.train(config, 0, training.Work(2, 0.01), first.arrays)
        outcomes.append((first.loss, held_out, second.loss, second.arrays))
    (*losses, arrays), (*other_losses, other_arrays) = outcomes
    assert losses == other_losses
    assert all((arrays[name] == other_arrays[name]).all() for name in arrays)


def test_a_residual_acts_as_its_product_in_the_weights(config: FederatedConfig) -> None:
    local, factors = local_model(config), residual(config, 3)
    local.put(factors, SEED)
    base = AutoModelForCausalLM.from_pretrained(config.model)
    for name, a in factors.items():
        if name.endswith("residual_A.weight"):
            product = torch.from_numpy(factors[name.replace("_A.", "_B.")] @ a)
            module = name.removeprefix("base_model.model.").removesuffix(".residual_A.weight")
            weight = base.get_submodule(module).weight
            weight.data += config.alpha / config.rank * product
    torch.testing.assert_close(logits(local), base(input_ids=IDS).logits, rtol=1e-4, atol=1e-5)


def test_clients_train_past_a_residual_but_never_change_it(config: FederatedConfig) -> None:
    factors = residual(config, 2)
    kept = {name: array.copy() for name, array in factors.items()}
    with_it = training.train(config, 0, training.Work(1, 0.01), factors)
    without = training.train(config, 0, training.Work(1, 0.01), {})
    assert with_it.loss != without.loss
    assert with_it.arrays.keys() == without.arrays.keys()
    assert all((factors[name] == kept[name]).all() for name in kept)


def test_dropout_is_the_seed_s_and_changes_what_is_learnt(config: FederatedConfig) -> None:
    def trained(dropout: float, number: int = 1) -> Arrays:
        changed = replace(config, dropout=dropout, local_steps=4)
        return training.train(changed, 0, training.Work(number, 0.05), {}).arrays

    once, again, none = trained(0.5), trained(0.5), trained(0.0)
    assert all((once[name] == again[name]).all() for name in once)
    assert any((once[name] != none[name]).any() for name in once)


def test_first_values_depend_on_seed_and_name_alone() -> None:
    a, b = "base_model.model.a.lora_A.weight", "base_model.model.b.lora_A.weight"
    zeros = "base_model.model.a.lora_B.weight"
    whole = first_values({a: (4, 100), b: (4, 100), zeros: (7, 4)}, "1")
    assert (first_values({b: (4, 100)}, "1")[b] == whole[b]).all()
    assert (whole[a] != whole[b]).any()
    assert (whole[a] != first_values({a: (4, 100)}, "2")[a]).any()
    assert not whole[zeros].any()
    assert abs(whole[a]).max() <= 0.1  # 1 / √100
    assert whole[a].std() == pytest.approx(0.1 / numpy.sqrt(3), rel=0.1)
