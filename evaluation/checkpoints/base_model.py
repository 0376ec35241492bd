"""What an adapter is checked against: the names and shapes of a base model's weights."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from evaluation.checkpoints.header import MAX_HEADER, read_header
from evaluation.checkpoints.weight_digests import Digests, StoredDigests, StoredWeight
from evaluation.errors import ModelError

_INDEX = "model.safetensors.index.json"
_EMBEDDINGS = (
    "embed_tokens", "wte", "word_embeddings", "tok_embeddings", "embed_in", "embeddings", "wpe",
    "embed_positions",
)  # fmt: skip
_POSITIONS = ("wpe", "embed_positions")
# First components of loaded models' names, which files saved from the bare model lack.
_LEFT_OUT = frozenset({"model", "transformer", "gpt_neox"})
# What the language model of a model for pictures too is called, in files and loaded, by release of the
# library and by class; and alone. So with its head.
_SAME = (
    ("model.language_model.", "language_model.model.", "model."),
    ("language_model.lm_head.", "lm_head.", "embed_out."),
)
_EXPERT = re.compile(r"\.experts\.\d+\.")
_EXPERTS = re.compile(r"\.experts(\.base_layer)*$")
_OUTPUT_HEADS = ("lm_head", "embed_out")
# These read in both directions, unless their config makes decoders of them.
_ENCODERS = frozenset({
    "bert", "bert-generation", "big_bird", "camembert", "data2vec-text", "electra", "ernie", "megatron-bert",
    "rembert", "roberta", "roberta-prelayernorm", "roc_bert", "roformer", "xlm-roberta", "xlm-roberta-xl",
    "xmod",
})  # fmt: skip
# These architectures store linear weights as [in, out] (Conv1D); all others store [out, in].
_TRANSPOSED = {"gpt2", "openai-gpt"}


@dataclass(frozen=True)
class BaseModelTensors:
    """Shapes of a base model's weights by their names on disk, and what decides how names map to modules.

    `tie_word_embeddings`: the output head is the input embedding and may be absent from `shapes`. `digests`
    are those of embeddings and head by name, empty where they are not known.
    """

    shapes: Mapping[str, tuple[int, ...]]
    tie_word_embeddings: bool
    model_type: str = ""
    digests: Mapping[str, Digests] = field(default_factory=dict, compare=False, repr=False)

    def to_json(self) -> dict[str, object]:
        """A JSON-serialisable form that `from_json` reads. Raises OSError where the files are gone."""
        return {
            "model_type": self.model_type,
            "tie_word_embeddings": self.tie_word_embeddings,
            "shapes": {name: list(shape) for name, shape in self.shapes.items()},
            "digests": {name: dict(digests) for name, digests in self.digests.items()},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> BaseModelTensors:
        """Raises ModelError when `value` was not made by `to_json`."""
        shapes = value.get("shapes")
        tied, model_type = value.get("tie_word_embeddings"), value.get("model_type")
        if not isinstance(shapes, Mapping) or not isinstance(tied, bool) or not isinstance(model_type, str):
            raise ModelError("the stored description of the base model's tensors is damaged; record it again")
        digests = value.get("digests")  # descriptions of former versions have none
        return cls(
            {str(name): tuple(shape) for name, shape in shapes.items()},
            tied,
            model_type,
            digests if isinstance(digests, Mapping) else {},
        )

    @cached_property
    def weights(self) -> Mapping[str, tuple[int, ...]]:
        """`shapes`, and the tied output head where the files leave it out."""
        tied = self._tied_to
        return {**self.shapes, "lm_head.weight": self.shapes[tied]} if tied else self.shapes

    @cached_property
    def _tied_to(self) -> str | None:
        """The embedding that is the output head too, where the files leave that out."""
        if not self.tie_word_embeddings or "lm_head.weight" in self.shapes:
            return None
        tied = [name for name in self.shapes if name.endswith(".weight") and _is_of_tokens(name[:-7])]
        return tied[0] if len(tied) == 1 else None

    def digests_of(self, stored: str) -> Digests:
        """Those of one of `weights`; empty where they are not known. Raises OSError where their file cannot
        be read.
        """
        name = self._tied_to if stored == "lm_head.weight" and self._tied_to else stored
        return self.digests.get(name, {})

    @cached_property
    def parameters(self) -> int:
        """The number of parameters in the files; a tied output head counts once."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    @cached_property
    def _first_components(self) -> frozenset[str]:
        return frozenset(name.partition(".")[0] for name in self.shapes)

    def stored_name(self, name: str) -> str | None:
        """The key in `weights` for a parameter of the loaded model, or None.

        Files of some models (GPT-2) leave out the first component that the loaded model's names have; others
        call the language model otherwise (Gemma-3).
        """
        if name in self.weights:
            return name
        for spellings in _SAME:
            rest = next((name.removeprefix(each) for each in spellings if name.startswith(each)), None)
            for spelling in spellings if rest is not None else ():
                if f"{spelling}{rest}" in self.weights:
                    return f"{spelling}{rest}"
        first, _, rest = name.partition(".")
        left_out = first in _LEFT_OUT - self._first_components
        return rest if left_out and rest in self.weights else None

    def matrix(self, module: str) -> tuple[int, int] | None:
        """(out, in) of a linear module, (rows, columns) of an embedding, None for anything else."""
        stored = self.stored_name(f"{module}.weight")
        shape = self.weights[stored] if stored else ()
        if len(shape) != 2:
            return None
        if self.model_type in _TRANSPOSED and not (is_embedding(module) or is_output_head(module)):
            return shape[1], shape[0]
        return shape[0], shape[1]

    @cached_property
    def matrix_modules(self) -> tuple[str, ...]:
        """All modules with a two-dimensional weight, by their names on disk."""
        return tuple(
            name.removesuffix(".weight")
            for name, shape in self.weights.items()
            if name.endswith(".weight") and len(shape) == 2
        )


def is_embedding(module: str) -> bool:
    """Whether a module is an input embedding, by the names that model families give theirs."""
    return module.rpartition(".")[2] in _EMBEDDINGS


def _is_of_tokens(module: str) -> bool:
    """Whether a module is the embedding of tokens, not of positions."""
    return is_embedding(module) and module.rpartition(".")[2] not in _POSITIONS


def is_output_head(module: str) -> bool:
    """Whether a module is the output head, which "all-linear" leaves out."""
    return module.rpartition(".")[2] in _OUTPUT_HEADS


def is_fused_on_loading(module: str) -> bool:
    """Whether a module is an expert's matrix or a router: of the loaded model these are no linear modules."""
    return _EXPERT.search(module) is not None or module.endswith(".gate")


def is_fused_form(module: str) -> bool:
    """Whether a module is all experts of a layer at once, as `target_parameters` names them."""
    return _EXPERTS.search(module) is not None


def is_vocabulary(module: str) -> bool:
    """Whether a module has a row for each token, so that PEFT may store it beside an adapter."""
    return is_embedding(module) or is_output_head(module)


def base_model_tensors(folder: Path) -> BaseModelTensors:
    """Read names and shapes from the headers of all weight files in the base model `folder`.

    Raises ModelError when the folder is no base model in safetensors form, a header is damaged, or the model
    is one that reads in both directions.
    """
    config = _json_file(folder / "config.json")
    model_type = str(config.get("model_type", ""))
    if model_type in _ENCODERS and not config.get("is_decoder"):
        raise ModelError(
            f"{folder} holds a {model_type}, which reads in both directions and generates no text"
        )
    shapes: dict[str, tuple[int, ...]] = {}
    comparable: dict[str, StoredWeight] = {}
    for path in _weight_files(folder):
        with path.open("rb") as file:
            header, findings = read_header(file, path.stat().st_size, name=path.name, limit=MAX_HEADER)
        if header is None:
            raise ModelError(f"{findings[0].location} in {folder} is damaged: {findings[0].message}")
        shapes.update((tensor.name, tensor.shape) for tensor in header.tensors)
        comparable |= {
            tensor.name: StoredWeight(path, header.data_start, tensor)
            for tensor in header.tensors
            if is_vocabulary(tensor.name.rpartition(".")[0])
        }
    tied = config.get("tie_word_embeddings")
    if not isinstance(tied, bool):  # left out where it is the architecture's default
        tied = not {"lm_head.weight", "embed_out.weight"} & shapes.keys()
    return BaseModelTensors(dict(sorted(shapes.items())), tied, model_type, StoredDigests(comparable))


def _weight_files(folder: Path) -> list[Path]:
    """The files that hold the weights; others beside them (consolidated.safetensors) repeat them."""
    index = folder / _INDEX
    if index.is_file():
        weight_map = _json_file(index).get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            raise ModelError(f"{index} has no weight_map; download the base model again")
        paths = [folder / Path(str(name)).name for name in sorted(set(weight_map.values()))]
    else:
        paths = sorted(folder.glob("model*.safetensors"))
    missing = [path.name for path in paths if not path.is_file()]
    if missing or not paths:
        raise ModelError(
            f"{folder} lacks {', '.join(missing) or 'model.safetensors'}; download the base model again"
        )
    return paths


def _json_file(path: Path) -> dict[str, object]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read {path}: {error}") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path} is not a JSON object")
    return value
