"""Whether a name that somebody wrote for a base model is that of a known one: mirrors, copies, folders."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from enum import Enum

_HUB = re.compile(r"(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co|hf-mirror\.com)/", re.IGNORECASE)
_HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)
# First parts of paths, which no organisation on the hub is likely to be meant by.
_FOLDERS = {
    "base", "base_model", "base_models", "cache", "checkpoint", "checkpoints", "ckpt", "ckpts", "data", "hf",
    "llm", "llms", "local", "model", "models", "output", "outputs", "pretrained", "results", "weights",
}  # fmt: skip
# What mirrors, quantisers and converters put behind a name.
_BEHIND = re.compile(
    r"-(?:unsloth|bnb|[48]bit|int[48]|nf4|fp4|fp8|fp16|bf16|gptq|awq|hf|quantized|safetensors|w\da\d+|\d+g)$"
)


class Likeness(Enum):
    """SAME is the model by its name or an alias, COPY a folder of its name, TWIN another repository of its
    name, SILENT a path that tells nothing, OTHER another model."""

    SAME = "same"
    COPY = "copy"
    TWIN = "twin"
    SILENT = "silent"
    OTHER = "other"


def likeness(given: str, hub_id: str, aliases: Collection[str] = ()) -> Likeness:
    """What `given` says of being the model `hub_id`, which has other names too (`aliases`)."""
    name = _HUB.sub("", given, count=1) if _HUB.match(given) else given
    is_address = name != given
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    if is_address:
        parts = [part.partition("@")[0] for part in parts[:2]]
    known = [each.lower() for each in (hub_id, *aliases)]
    lower = [part.lower() for part in parts]
    if given.isascii() and "/".join(lower) in known:
        return Likeness.SAME
    is_hub_id = is_address or (_HUB_ID.fullmatch(name) is not None and lower[0] not in _FOLDERS)
    if not given.isascii():
        return Likeness.OTHER if len(parts) == 2 else Likeness.SILENT
    lasts = {each.rpartition("/")[2] for each in known}
    cached = {"--".join(["models", *each.split("/")]) for each in known}
    if not is_hub_id and (cached.intersection(lower) or (lower and _unescaped(lower[-1]) in lasts)):
        return Likeness.COPY
    if lower and bare_name(lower[-1]) in {bare_name(last) for last in lasts}:
        return Likeness.TWIN
    return Likeness.OTHER if is_hub_id else Likeness.SILENT


def listed_as(given: str, listed: Mapping[str, Collection[str]]) -> str | None:
    """The hub id in a list (hub ids with their aliases) of the model that goes by this name: its own, an
    alias, or that of a copy of it; None where there is none, or several."""
    for wanted in (Likeness.SAME, Likeness.COPY, Likeness.TWIN):
        found = [hub_id for hub_id, aliases in listed.items() if likeness(given, hub_id, aliases) is wanted]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def bare_name(name: str) -> str:
    """The last part of a model's name without what mirrors and quantisers put around it."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    bare = _unescaped(parts[-1].casefold() if parts else "").replace("_", "-").removesuffix(".git")
    while (shorter := _BEHIND.sub("", bare)) != bare:
        bare = shorter
    return bare.removeprefix("meta-")


def _unescaped(name: str) -> str:
    """modelscope writes three underscores for a dot in the names of its folders."""
    return name.replace("___", ".")
