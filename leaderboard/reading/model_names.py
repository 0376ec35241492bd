"""The family that a base model's name shows."""

from __future__ import annotations

import re
from functools import cache

# As its makers write it: what stands in names, the longer before what it contains.
_FAMILIES = (
    "CodeLlama", "TinyLlama", "Llama", "Mixtral", "Mistral", "Ministral", "SmolLM", "InternLM", "CodeGemma",
    "Gemma", "DeepSeek", "StarCoder", "Qwen", "Phi", "Falcon", "OLMo", "OPT", "Pythia", "GPT-NeoX", "GPT",
    "StableLM", "Granite", "Yi", "Baichuan", "ChatGLM", "GLM", "BLOOM", "MPT", "RWKV", "Mamba", "Nemotron",
    "Command", "Aya", "EXAONE", "SOLAR", "Zephyr", "Vicuna", "Alpaca",
)  # fmt: skip
# At the beginning of a word in any letters, or with a capital inside one, like MedLlama.
_KNOWN = [
    (name, re.compile(rf"(?<![A-Za-z])(?i:{re.escape(name)})|(?<=[a-z]){re.escape(name)}"))
    for name in _FAMILIES
]


@cache
def family_of(hub_id: str) -> str:
    """The family of a model by its name: "Qwen" of "Qwen/Qwen2.5-7B-Instruct"; else its first word."""
    name = hub_id.rpartition("/")[2]
    for family, pattern in _KNOWN:
        if pattern.search(name):
            return family
    word = re.match(r"[^\W\d_]+", name)
    return word[0].capitalize() if word else name
