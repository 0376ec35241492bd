"""What an adapter of one kind is made of, and what may be done with it: the seam for a new PEFT type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal

Dimension = Literal["rank", "rows", "columns"]
Dimensions = tuple[Dimension, ...]
Shape = tuple[int | None, ...]  # None: any size


@dataclass(frozen=True)
class Part:
    """A tensor that an adapter has on a module.

    `name` follows the module's in the tensor's name; after it comes one of `endings`, first the one that PEFT
    writes, then those of its older versions. `linear` and `embedding` are its dimensions on a module of that
    sort whose weight has `rows` × `columns`; None where it does not belong. `first` says what it is before
    any training: zeros, numbers drawn by a seed, or what the `base` model's weights tell. `unexpected` is
    what to say of it in a file whose configuration is of a kind without it.
    """

    name: str
    endings: tuple[str, ...]
    linear: Dimensions | None
    embedding: Dimensions | None
    first: Literal["zeros", "uniform", "normal", "base"]
    unexpected: str = ""

    def dimensions(self, embedding: bool) -> Dimensions | None:
        return self.embedding if embedding else self.linear


@dataclass(frozen=True)
class AdapterKind:
    """One way of adapting a weight.

    `key` is its name in the settings of a run, `peft_type` PEFT's, and `settings` are the keys of an
    adapter_config.json that tell it from other kinds of that type, with their values. `parts` come in the
    order in which the rank is told from them. `beyond_product` completes "the product of A and B, which …"
    with what keeps its update from being that product, for strategies that work on products; "" where nothing
    does. `trained`: the federated app can train it, whose settings say of the kind `use-dora` alone.
    """

    key: str
    title: str
    paper: str
    peft_type: str
    settings: Mapping[str, bool]
    parts: tuple[Part, ...]
    beyond_product: str = ""
    trained: bool = False

    @property
    def use_dora(self) -> bool:
        """Whether its configuration asks for DoRA's magnitudes."""
        return self.settings.get("use_dora", False)

    def required(self, embedding: bool) -> tuple[Part, ...]:
        """What a module of that sort has to have."""
        return tuple(part for part in self.parts if part.dimensions(embedding) is not None)

    def parameters(self, rank: int, matrix: tuple[int, int], *, embedding: bool) -> int:
        """How many numbers the adapter has on a module with a weight of `matrix` (rows, columns)."""
        shapes = self.shapes(rank, matrix, embedding=embedding)
        return sum(prod(size or 0 for size in shape) for shape in shapes.values())

    def shapes(
        self, rank: int | None, matrix: tuple[int, int] | None, *, embedding: bool
    ) -> Mapping[str, Shape]:
        """The shape of each required part, by its name; None for a size that is not known."""
        rows, columns = matrix or (None, None)
        sizes: Mapping[Dimension, int | None] = {"rank": rank, "rows": rows, "columns": columns}
        return {
            part.name: tuple(sizes[dimension] for dimension in part.dimensions(embedding) or ())
            for part in self.required(embedding)
        }

    def sizes(self, shapes: Mapping[str, tuple[int, ...]], *, embedding: bool) -> Mapping[Dimension, int]:
        """Rank, rows and columns as a module's tensors have them; the first part that tells one counts."""
        told: dict[Dimension, int] = {}
        for part in self.required(embedding):
            dimensions, shape = part.dimensions(embedding) or (), shapes.get(part.name, ())
            if len(dimensions) == len(shape):
                for dimension, size in zip(dimensions, shape, strict=True):
                    told.setdefault(dimension, size)
        return told

    def has_all(self, names: Iterable[str]) -> bool:
        """Whether all these are names of its parts."""
        return {part.name for part in self.parts}.issuperset(names)
