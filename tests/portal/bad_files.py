"""Files that intake refuses, with the finding's code and the place that it must name."""

from __future__ import annotations

import pickle
import struct

import pytest

from tests.evaluation import adapters
from tests.portal.factories import config_bytes, uploads

ADAPTER, CONFIG, PYPROJECT = "adapter_model.safetensors", "adapter_config.json", "pyproject.toml"


def _with(name: str, tensor: adapters.Tensor) -> bytes:
    return adapters.safetensors({**adapters.lora_tensors(), name: tensor})


_A = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
_not_a_number = adapters.f32((4, adapters.HIDDEN))[2][:-4] + struct.pack("<f", float("nan"))
_infinite = adapters.f32((4, adapters.HIDDEN))[2][:-4] + struct.pack("<f", float("inf"))
_good = adapters.safetensors(adapters.lora_tensors())

BAD_FILES = [
    pytest.param(uploads(adapter=pickle.dumps({"a": 1})), "file.not_safetensors", ADAPTER, id="a pickle"),
    pytest.param(
        uploads(adapter=b"PK\x03\x04" + bytes(60)), "file.not_safetensors", ADAPTER, id="a torch zip"
    ),
    pytest.param(uploads(adapter=b"hello, this is no checkpoint"), None, ADAPTER, id="any other file"),
    pytest.param(uploads(adapter=_good[:-10]), "file.truncated", ADAPTER, id="a truncated file"),
    pytest.param(uploads(adapter=_good[:40]), "header.length", ADAPTER, id="a truncated header"),
    pytest.param(
        uploads(adapter=(2**60).to_bytes(8, "little") + _good[8:]),
        "header.length",
        ADAPTER,
        id="a lying header",
    ),
    pytest.param(
        uploads(adapter=_with(_A, adapters.f32((4, 99)))), "adapter.shape", _A, id="tensors that do not fit"
    ),
    pytest.param(
        uploads(adapter=_with(_A, ("F32", (4, adapters.HIDDEN), _not_a_number))),
        "adapter.not_finite",
        _A,
        id="a NaN",
    ),
    pytest.param(
        uploads(adapter=_with(_A, ("F32", (4, adapters.HIDDEN), _infinite))),
        "adapter.not_finite",
        _A,
        id="an infinite weight",
    ),
    pytest.param(
        uploads(config=config_bytes(base_model_name_or_path="Other/Model")),
        "adapter_config.base_model",
        CONFIG,
        id="another base model",
    ),
    pytest.param(
        uploads(config=config_bytes(auto_mapping={"base_model_class": "X", "parent_library": "evil"})),
        "adapter_config.remote_code",
        CONFIG,
        id="remote code",
    ),
    pytest.param(uploads(config=b'{"r": 4,'), "adapter_config.json", CONFIG, id="broken JSON"),
    pytest.param(
        uploads(pyproject=b"[tool.flwr\nx = 1"), "config.syntax", f"{PYPROJECT}: line 1", id="broken TOML"
    ),
]
