"""Whether an adapter's tensors fit its configuration and its base model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from evaluation import adapter_kinds as kinds
from evaluation.adapter_kinds import AdapterKind, Part, Shape
from evaluation.checkpoints.adapter_config import ADAPTER_CONFIG_FILE, AdapterConfig
from evaluation.checkpoints.base_model import (
    BaseModelTensors,
    is_embedding,
    is_fused_form,
    is_fused_on_loading,
    is_vocabulary,
)
from evaluation.checkpoints.foreign_names import is_configured, what_it_is
from evaluation.checkpoints.header import TensorEntry
from evaluation.checkpoints.patterns import PatternError
from evaluation.checkpoints.spelling import BASE_LAYER
from evaluation.checkpoints.targets import by_module, targeted_modules
from evaluation.checkpoints.tensor_names import PREFIX, AdapterTensor, parse_name
from evaluation.findings import FindingCollector

Parts = Mapping[str, TensorEntry]  # by the part's name


@dataclass(frozen=True, slots=True)
class AdapterModule:
    """One module that is adapted. `alpha` is None when there is no valid configuration."""

    name: str
    rank: int
    alpha: float | None


@dataclass(frozen=True, slots=True)
class BaseCopy:
    """A tensor that repeats a weight of the base model; `stored` is that one's name, None where it is
    unknown.
    """

    entry: TensorEntry
    stored: str | None


@dataclass(frozen=True, slots=True)
class Fit:
    """What of the file is loaded; `full_weights` replace parameters of the base model (modules_to_save).

    `copies` are not loaded, and may differ from what the base model has.
    """

    modules: tuple[AdapterModule, ...] = ()
    full_weights: tuple[str, ...] = ()
    copies: tuple[BaseCopy, ...] = ()


class FitCheck:
    """Checks one adapter. `config` or `base` may be None: what needs them is then left unchecked.

    `names` are the file's own names with those that PEFT has for them.
    """

    def __init__(
        self,
        config: AdapterConfig | None,
        base: BaseModelTensors | None,
        names: Mapping[str, str],
        file_name: str,
        findings: FindingCollector,
    ) -> None:
        self._config = config
        self._base = base
        self._names = names
        self._file_name = file_name
        self._findings = findings
        self._copies: list[BaseCopy] = []

    def check(self, tensors: Sequence[TensorEntry]) -> Fit:
        """Report everything that does not fit and return what does."""
        adapted, others = self._sorted(tensors)
        if not adapted:
            self._report_nothing(others)
            return Fit()
        full_weights = [entry for entry in others if self._is_full_weight(entry)]
        self._check_full_weights({self._names[entry.name].removeprefix(PREFIX) for entry in full_weights})
        names = sorted(adapted)
        try:
            ranks, alphas = self._ranks(names), self._alphas(names)
            targeted = self._check_targets(names)
        except PatternError as error:
            text = f"A regular expression in the configuration cannot be used: {error}."
            self._findings.error("adapter_config.pattern", text, ADAPTER_CONFIG_FILE)
            return Fit()
        self._check_experts(names)
        modules = []
        for name in names:
            rank = self._check_module(name, adapted[name], ranks.get(name))
            if rank is not None and name in targeted:
                modules.append(AdapterModule(name, rank, alphas.get(name)))
        return Fit(tuple(modules), tuple(entry.name for entry in full_weights), tuple(self._copies))

    def _report_nothing(self, others: Sequence[TensorEntry]) -> None:
        """What a file is that has no tensor of LoRA under its name: one error, by what there is instead."""
        if any(what_it_is(self._names[entry.name]) or "lora" in entry.name.lower() for entry in others):
            for entry in others:
                self._is_full_weight(entry)
            return
        whole = (
            (" It holds a whole model, perhaps one that the adapter was merged into.")
            if len(others) > 2
            else ""
        )
        text = (
            f"The file has no LoRA tensor (lora_A, lora_B).{whole} Save the trained adapter with "
            "save_pretrained."
        )
        self._findings.error("adapter.no_lora_tensors", text, self._file_name)

    def _error(self, code: str, text: str, tensor: str, cause: str) -> None:
        """One error of all tensors in which the same is wrong, by its `cause`."""
        self._findings.error(code, text, f"{self._file_name}: {tensor}", cause)

    def _sorted(self, tensors: Sequence[TensorEntry]) -> tuple[dict[str, Parts], list[TensorEntry]]:
        """The adapter's tensors by module and part, and all others."""
        adapted: dict[str, dict[str, TensorEntry]] = defaultdict(dict)
        others: list[TensorEntry] = []
        for entry in tensors:
            name = parse_name(self._names[entry.name])
            if name is None:
                others.append(entry)
            elif name.part.name in adapted[name.module]:
                other = adapted[name.module][name.part.name].name
                text = f"The same tensor stands in the file as {other} too. Keep one of them."
                self._error("adapter.duplicate_tensor", text, entry.name, "duplicate")
            else:
                adapted[name.module][name.part.name] = entry
        return dict(adapted), others

    def _ranks(self, names: Sequence[str]) -> dict[str, int]:
        if self._config is None:
            return {}
        return by_module(self._config.rank_pattern, self._config.r, names)

    def _alphas(self, names: Sequence[str]) -> dict[str, float]:
        if self._config is None:
            return {}
        return by_module(self._config.alpha_pattern, self._config.alpha, names)

    def _check_module(self, name: str, parts: Parts, rank: int | None) -> int | None:
        """Check names and shapes of one module; return its rank, None if it cannot be told."""
        first = next(iter(parts.values()))
        matrix = self._base.matrix(name) if self._base else None
        if self._base and matrix is None:
            if self._config or not is_fused_form(name):  # else the configuration's target_parameters say it
                self._error("adapter.unknown_module", self._no_such_module(name), first.name, "module")
            return None
        kind = self._config.kind if self._config else kinds.of_parts(frozenset(parts))
        embedding = is_embedding(name) if self._base else _looks_like_embedding(parts)
        self._check_complete(name, parts, kind, embedding)
        sizes = kind.sizes({part: entry.shape for part, entry in parts.items()}, embedding=embedding)
        if rank is None:
            rank = sizes.get("rank")
        if "rank" in sizes and "rows" in sizes and "columns" in sizes:
            self._check_rank(name, sizes["rank"], min(sizes["rows"], sizes["columns"]))
        shapes = kind.shapes(rank, matrix, embedding=embedding)
        origin = f"rank {rank} and the base model's weight {list(matrix)}" if matrix else f"rank {rank}"
        for part in kind.required(embedding):
            if part.name in parts:
                self._check_shape(part, parts[part.name], shapes[part.name], origin)
        return rank

    def _check_experts(self, names: Sequence[str]) -> None:
        """Experts are fused on loading, and what becomes of a fused update is known for products alone."""
        experts = [name for name in names if is_fused_on_loading(name)]
        if self._config and self._config.kind.beyond_product and experts:
            text = (
                f"{self._config.kind.title} on experts or routers of a mixture is not evaluated "
                f"({_first(experts)}). Train these with plain LoRA, or leave them out."
            )
            self._findings.error("adapter_config.unsupported", text, f"{ADAPTER_CONFIG_FILE}: use_dora")

    def _no_such_module(self, name: str) -> str:
        """What to say of a module that the base model lacks, by what else it would be called there."""
        assert self._base is not None
        text = "The base model has no such linear module or embedding."
        shorter = name.partition(".")[2]
        if is_fused_form(name):
            return (
                f"{text} Adapters on all experts at once (target_parameters) are not evaluated; those on the "
                "experts' own matrices (target_modules) are."
            )
        if self._base.matrix(f"model.{name}"):
            return (
                f"{text} It has model.{name}: the adapter was trained on the model without its head. Load it "
                "with AutoModelForCausalLM when you train."
            )
        if self._base.matrix(shorter):
            return (
                f"{text} It has {shorter}: the model was wrapped when the adapter was saved. Save the PEFT "
                "model."
            )
        return f"{text} Select the one that the adapter was trained on."

    def _check_rank(self, name: str, rank: int, smaller: int) -> None:
        """A rank over the smaller side of the matrix adds nothing but communication."""
        if rank > smaller:
            text = (
                f"The rank {rank:,} is over the smaller side of the matrix ({smaller:,}), the highest that "
                f"an update of it can have. Train with {smaller:,} or less."
            )
            self._findings.warning("adapter.rank", text, f"{self._file_name}: {PREFIX}{name}", "rank")

    def _check_complete(self, name: str, parts: Parts, kind: AdapterKind, embedding: bool) -> None:
        """A module has the parts of its kind and no others."""
        required = {part.name: part for part in kind.required(embedding)}
        for part in required.values():
            if part.name not in parts:
                text = "The tensor is missing; without it the update is not what was trained. Save again."
                self._error("adapter.incomplete_module", text, str(AdapterTensor(name, part)), part.name)
        for part_name in sorted(parts.keys() - required.keys()):
            part = kinds.parts()[part_name]
            if part.dimensions(embedding) is None:
                text = f"{part_name} does not belong on {'an embedding' if embedding else 'a linear module'}."
                self._error("adapter.unknown_tensor", text, parts[part_name].name, part_name)
            else:
                place = parts[part_name].name
                self._error("adapter.unexpected_magnitude", part.unexpected, place, part_name)

    def _check_shape(self, part: Part, entry: TensorEntry, expected: Shape, origin: str) -> None:
        if _fits(entry.shape, expected):
            return
        dimensions = part.linear or part.embedding or ()
        cause, advice = _wrong_shape(
            entry.shape, expected, dimensions.index("rank") if "rank" in dimensions else -1
        )
        needed = "[" + ", ".join("any" if size is None else str(size) for size in expected) + "]"
        text = f"The shape is {list(entry.shape)}; {origin} need {needed}. {advice}"
        self._error("adapter.shape", text, entry.name, cause)

    def _check_targets(self, names: Sequence[str]) -> Collection[str]:
        """Compare the modules in the file with those the configuration targets; return the ones in both."""
        if self._config is None:
            return names
        expected = self._live_modules(names) if self._base and self._config.target_modules else []
        targeted = targeted_modules(self._config, sorted({*names, *expected}))
        for name in names:
            if name not in targeted:
                text = (
                    "The configuration does not target this module, so its tensors are ignored, as by PEFT."
                )
                place = f"{self._file_name}: {PREFIX}{name}"
                self._findings.warning("adapter.untargeted_module", text, place, "target")
        if targeted.isdisjoint(names):
            text = "The configuration targets no module in the file. Upload the two files that match."
            self._findings.error("adapter.no_lora_tensors", text, f"{ADAPTER_CONFIG_FILE}: target_modules")
        elif absent := sorted(targeted.difference(names)):
            text = (
                f"{len(absent):,} targeted modules have no tensors and stay as in the base model: "
                f"{_first(absent)}. If they were trained, save the adapter again."
            )
            place = f"{ADAPTER_CONFIG_FILE}: target_modules"
            self._findings.warning("adapter.target_without_tensors", text, place)
        return targeted

    def _live_modules(self, names: Sequence[str]) -> list[str]:
        """The base model's modules under the names of the loaded model, seen from `names`."""
        assert self._base is not None
        begins: dict[str, str] = {}  # what names begin with here, by how they begin in the files
        for name in names:
            stored = self._base.stored_name(f"{name}.weight")
            if stored:
                here, there = _beginnings(name, stored.removesuffix(".weight"))
                begins.setdefault(there, here)
        live = []
        for module in self._base.matrix_modules:
            there = max((each for each in begins if module.startswith(each)), key=len, default="")
            live.append(begins.get(there, there) + module.removeprefix(there))
        return live

    def _is_full_weight(self, entry: TensorEntry) -> bool:
        """Whether a tensor that is not LoRA is one of modules_to_save; if not, it is reported or kept as a
        copy.
        """
        name = self._names[entry.name]
        parameter = name.removeprefix(PREFIX)
        shape = self._base_shape(parameter)
        allowed = self._config is None or is_saved(parameter, self._config.modules_to_save)
        if known := what_it_is(name):
            if self._config or not is_configured(name):  # else what is wrong with the configuration is enough
                self._error("adapter.unknown_tensor", known, entry.name, known)
        elif not name.startswith(PREFIX):
            text = f"This is no tensor of a LoRA adapter as PEFT saves it (names begin with {PREFIX})."
            self._error("adapter.unknown_tensor", text, entry.name, "prefix")
        elif not allowed or BASE_LAYER in name:
            self._check_base_weight(entry, parameter, shape)
        elif shape is None and self._base:
            self._error("adapter.unknown_tensor", _NEITHER, entry.name, "neither")
        elif shape is not None and shape != entry.shape:
            text = f"The shape is {list(entry.shape)}, the base model's weight has {list(shape)}."
            self._error("adapter.shape", text, entry.name, "whole")
        else:
            return True
        return False

    def _check_base_weight(self, entry: TensorEntry, parameter: str, shape: Shape | None) -> None:
        """A weight of the base model that nothing says was trained: only a copy of it can be let pass."""
        module, _, last = parameter.replace(BASE_LAYER, ".").rpartition(".")
        comparable = is_vocabulary(module) and last in ("weight", "bias")
        if self._base is None and comparable:
            self._copies.append(BaseCopy(entry, None))
        elif shape is None:
            self._error("adapter.unknown_tensor", _NEITHER, entry.name, "neither")
        elif comparable and shape == entry.shape:
            assert self._base is not None
            self._copies.append(BaseCopy(entry, self._base.stored_name(f"{module}.{last}")))
        elif comparable:
            text = (
                f"It has {entry.shape[0] if entry.shape else 0:,} rows, the base model's weight "
                f"{shape[0]:,}: the vocabulary was resized for the training. Train with the base model's "
                "own vocabulary."
            )
            self._error("adapter.base_weight", text, entry.name, "vocabulary")
        else:
            self._error("adapter.base_weight", OVERWRITTEN, entry.name, "base")

    def _base_shape(self, parameter: str) -> tuple[int, ...] | None:
        """The shape of the base model's parameter that PEFT would write to, inside a LoRA layer or not."""
        if self._base is None:
            return None
        stored = self._base.stored_name(parameter.replace(BASE_LAYER, "."))
        return self._base.weights[stored] if stored else None

    def _check_full_weights(self, present: Collection[str]) -> None:
        """Modules in modules_to_save are loaded whole, so every parameter of them has to be there."""
        if self._config is None or not self._config.modules_to_save:
            return
        if present:
            text = (
                f"{len(present):,} full weights replace those of the base model: {_first(sorted(present))}."
            )
            place = f"{ADAPTER_CONFIG_FILE}: modules_to_save"
            self._findings.warning("adapter.full_weights", text, place)
        if self._base is None:
            return
        found = {self._base.stored_name(parameter) for parameter in present}
        for stored in self._base.weights:
            if stored not in found and is_saved(stored, self._config.modules_to_save):
                text = "modules_to_save names this weight, but the file lacks it. Save the adapter again."
                self._error("adapter.incomplete_module", text, PREFIX + stored, "whole")


_NEITHER = "This is no LoRA tensor and no weight of a module in modules_to_save. Save the adapter again."
OVERWRITTEN = (
    "The tensor would overwrite a weight of the base model. Save without it (save_embedding_layers=False), "
    "or name its module in modules_to_save when training."
)


def _fits(shape: Sequence[int], expected: Shape) -> bool:
    return len(shape) == len(expected) and all(
        want is None or size == want for size, want in zip(shape, expected, strict=True)
    )


def _wrong_shape(shape: tuple[int, ...], expected: Shape, rank: int) -> tuple[str, str]:
    """Why a shape is another, and what to do; `rank` is the dimension that is the rank, -1 for none."""
    if len(shape) < len(expected) or 0 in shape:
        return "partitioned", (
            "FSDP and DeepSpeed ZeRO-3 leave flat or empty parts of a tensor where it was not gathered "
            "before it was saved. Gather the parameters, then save again."
        )
    if len(shape) == len(expected) == 2:
        if _fits(shape[::-1], expected):
            return (
                "transposed",
                "It is stored transposed, as other libraries than PEFT do. Convert it to PEFT's form.",
            )
        if rank >= 0 and _fits(shape[:rank] + shape[rank + 1 :], expected[:rank] + expected[rank + 1 :]):
            return (
                "rank",
                "Set r and rank_pattern to the ranks that the tensors have: send both files of one save.",
            )
    return "base", "Check r and rank_pattern, and on which base model the adapter was trained."


def _beginnings(name: str, other: str) -> tuple[str, str]:
    """What two names begin with before the components that they both end in."""
    parts, others = name.split("."), other.split(".")
    while parts and others and parts[-1] == others[-1]:
        parts.pop()
        others.pop()
    return "".join(f"{part}." for part in parts), "".join(f"{part}." for part in others)


def _looks_like_embedding(parts: Parts) -> bool:
    """Whether a module has a part that only embeddings have."""
    return any(kinds.parts()[part].linear is None for part in parts)


def _first(names: Sequence[str]) -> str:
    """The first three names."""
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")


def is_saved(parameter: str, modules_to_save: Collection[str]) -> bool:
    """Whether a parameter belongs to a module whose name ends in one of `modules_to_save`, as in PEFT."""
    endings = tuple(modules_to_save)
    module = parameter.rpartition(".")[0] if endings else ""
    while module:
        if module.endswith(endings):
            return True
        module = module.rpartition(".")[0]
    return False
