"""What PEFT would call the tensors of an adapter's file, whose names may bear the marks of how it was saved.

Wrappers around a model (torch.compile, FSDP, DDP, Lightning), an adapter of another name than "default" and
a prefix that was cut off leave their marks in the names. Where the mark is the same in all of them nothing
is ambiguous, and they are read without it; PEFT itself would load none of them, most often without a word.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from evaluation.checkpoints.tensor_names import PREFIX, canonical_name, parse_name
from evaluation.findings import excerpt

BASE_LAYER = ".base_layer."
"""In the names of weights that an adapter leaves as they are, and PEFT stores beside it."""
DEFAULT = "default"

_WRAPPERS = {
    "_orig_mod": "torch.compile",
    "_fsdp_wrapped_module": "FSDP",
    "_checkpoint_wrapped_module": "activation checkpointing",
    "_forward_module": "Lightning",
}
# A part's own ending follows the adapter's name. Of DoRA's magnitude several generations have several.
_NAMED = re.compile(
    r"(?P<stem>.+\.(?:lora_A|lora_B|lora_embedding_A|lora_embedding_B|lora_magnitude_vector))"
    r"\.(?P<name>(?!(?:weight|bias)$)[^.]+)(?P<ending>(?:\.(?:weight|bias))?)"
)
_BARE = re.compile(r".+\.(?:lora_[AB]\.weight|lora_embedding_[AB])")
_WHOLE = re.compile(
    r"(?P<module>.+)\.(?:modules_to_save\.(?P<name>[^.]+)|(?P<old>original_module))\.(?P<rest>\w+)"
)


@dataclass(frozen=True)
class Spelling:
    """`names` has PEFT's name for each of the file's; `marks` say what was taken off or added, in words.

    `adapters` are the names of the adapters in the file where it holds several; then nothing tells which of
    them is meant, and no name of an adapter was taken off.
    """

    names: Mapping[str, str]
    marks: tuple[str, ...] = ()
    adapters: tuple[str, ...] = ()


def spelling(sent: Collection[str]) -> Spelling:
    """How the names of a file are to be read; those that it cannot make sense of stay as they are."""
    names = {name: name for name in sent}
    marks: list[str] = []
    for step in (_without_wrappers, _with_prefix, _without_repetition):
        names, mark = step(names)
        marks += [mark] if mark else []
    adapters = _adapters(names.values())
    if len(adapters) < 2:
        names, mark = _without_adapter(names)
        marks += [mark] if mark else []
        adapters = ()
    return Spelling({each: canonical_name(name) for each, name in names.items()}, tuple(marks), adapters)


_Step = tuple[dict[str, str], str]


def _without_wrappers(names: dict[str, str]) -> _Step:
    found: dict[str, str] = {}
    result = {}
    for sent, name in names.items():
        parts = name.split(".")
        found |= {part: _WRAPPERS[part] for part in parts if part in _WRAPPERS}
        result[sent] = ".".join(part for part in parts if part not in _WRAPPERS)
    if not found or len(set(result.values())) < len(names):
        return names, ""
    marks = ", ".join(f"{part}." for part in found)
    return result, f"{marks} of {' and '.join(dict.fromkeys(found.values()))} in the names"


def _with_prefix(names: dict[str, str]) -> _Step:
    """All names begin as PEFT's do, where they all begin alike with something else or with the model's."""
    heads = {name.partition(PREFIX)[0] if PREFIX in name else None for name in names.values()}
    if len(heads) == 1 and (head := next(iter(heads))) is not None and head and head.endswith("."):
        mark = f"{excerpt(head, 60)} before all names"
        return {sent: name.removeprefix(head) for sent, name in names.items()}, mark
    adapted = [name for name in names.values() if ".lora_" in name]
    if heads != {None} or not adapted:
        return names, ""
    prefixed = {sent: PREFIX + name for sent, name in names.items()}
    plain, _ = _without_adapter({name: PREFIX + name for name in adapted})
    if all(parse_name(name) for name in plain.values()):
        return prefixed, f"{PREFIX} missing before all names"
    return names, ""


def _without_repetition(names: dict[str, str]) -> _Step:
    """Of a model that was made a PEFT model twice."""
    twice = PREFIX + PREFIX
    if not names or not all(name.startswith(twice) for name in names.values()):
        return names, ""
    return {sent: name.removeprefix(PREFIX) for sent, name in names.items()}, f"{PREFIX} twice in all names"


def _adapters(names: Collection[str]) -> tuple[str, ...]:
    """The names of the adapters in the file; "" is one that is written without a name."""
    named = {match["name"] for name in names if (match := _NAMED.fullmatch(name))}
    named |= {match["name"] for name in names if (match := _WHOLE.fullmatch(name)) and match["name"]}
    bare = any(_BARE.fullmatch(name) for name in names)
    # Files of older generations have the name "default" in some of their names.
    return tuple(sorted(named | ({""} if bare and named - {DEFAULT} else set())))


def _without_adapter(names: dict[str, str]) -> _Step:
    """Names without that of the adapter, and whole modules under the names that they have in the model."""
    result: dict[str, str] = {}
    found: set[str] = set()
    wrapped = False
    for sent, name in names.items():
        if match := _NAMED.fullmatch(name):
            found.add(match["name"])
            ending = "" if match["stem"].endswith("lora_magnitude_vector") else match["ending"]
            result[sent] = match["stem"] + ending
        elif match := _WHOLE.fullmatch(name):
            wrapped = True
            old = BASE_LAYER if match["old"] else "."
            result[sent] = f"{match['module']}{old}{match['rest']}"
        else:
            result[sent] = name
    marks = [f"the adapter's name {excerpt(other, 40)} in the names" for other in sorted(found - {DEFAULT})]
    marks += ["modules_to_save or original_module in names of whole modules"] if wrapped else []
    return result, " and ".join(marks)
