"""Names and shapes of a base model come from its own files, whatever way they are split."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evaluation.checkpoints import (
    BaseModelTensors,
    base_model_tensors,
)
from evaluation.errors import ModelError
from tests.evaluation.adapters import (
    base_model,
    f32,
    safetensors,
)


def write_base(folder: Path, files: dict[str, list[str]], **config_values: object) -> None:
    shapes = base_model().shapes
    for file_name, names in files.items():
        tensors = {name: f32(shapes[name]) for name in names}
        (folder / file_name).write_bytes(safetensors(tensors))
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"} | config_values))


def test_base_model_tensors_come_from_all_shards(tmp_path: Path) -> None:
    names = sorted(base_model().shapes)
    write_base(
        tmp_path,
        {"model-00001-of-00002.safetensors": names[:3], "model-00002-of-00002.safetensors": names[3:]},
    )
    (tmp_path / "consolidated.safetensors").write_bytes(safetensors({"other.weight": f32((2, 2))}))
    base = base_model_tensors(tmp_path)
    assert base == base_model()
    assert BaseModelTensors.from_json(json.loads(json.dumps(base.to_json()))) == base


def test_an_index_names_the_shards(tmp_path: Path) -> None:
    names = sorted(base_model().shapes)
    write_base(tmp_path, {"a.safetensors": names}, tie_word_embeddings=False)
    index = {"weight_map": dict.fromkeys(names, "a.safetensors")}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    base = base_model_tensors(tmp_path)
    assert not base.tie_word_embeddings
    assert base.matrix("lm_head") is None
    (tmp_path / "a.safetensors").unlink()
    with pytest.raises(ModelError, match=r"lacks a\.safetensors"):
        base_model_tensors(tmp_path)


def test_a_damaged_base_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"config\.json"):
        base_model_tensors(tmp_path)
    write_base(tmp_path, {"model.safetensors": sorted(base_model().shapes)})
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ModelError, match=r"model\.safetensors .* cut off"):
        base_model_tensors(tmp_path)
    with pytest.raises(ModelError, match="damaged"):
        BaseModelTensors.from_json({"shapes": []})


def test_a_model_that_reads_in_both_directions_is_refused(tmp_path: Path) -> None:
    files = {"model.safetensors": sorted(base_model().shapes)}
    write_base(tmp_path, files, model_type="bert")
    with pytest.raises(ModelError, match="bert, which reads in both directions"):
        base_model_tensors(tmp_path)
    write_base(tmp_path, files, model_type="bert", is_decoder=True)
    assert base_model_tensors(tmp_path).model_type == "bert"
