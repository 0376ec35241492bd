"""What a study asks: base models by challenges, strategies, adapters, partitions, seeds, as one TOML file."""

from __future__ import annotations

import itertools
import math
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeGuard

from evaluation import adapter_kinds
from evaluation.errors import EvaluationError, UnknownNameError
from evaluation.federated import presets
from evaluation.federated.config import PARTITIONS, FederatedConfig, Partition
from evaluation.federated.typed_values import typed
from evaluation.method.strategies import STRATEGIES
from evaluation.names import lookup
from evaluation.rules import challenges

PLANS = Path(__file__).parent / "plans"
MOST_RUNS = 5_000
MOST_CELLS = 10 * MOST_RUNS
"""Before exclusion: more are not even listed."""
TITLE_LENGTH = 80

_AXES = ("base_models", "challenges", "strategies", "adapters", "seeds")
_KEYS = {"title", "preset", *_AXES, "partitions", "settings", "strategy_options", "target_modules", "exclude"}
# What the axes decide, so that one setting for all runs would contradict them.
_OF_AXES = frozenset(
    ("challenge", "strategy", "adapter", "partition", "seed", "model", "base_model_id", "train_data")
)
_EXCLUDABLE = ("base_model", "challenge", "strategy", "adapter", "partition")
_SEED_LIMIT = 2**53


class PlanError(EvaluationError):
    """The plan cannot be read; `problems` says all that is wrong with it."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = list(problems)


@dataclass(frozen=True)
class Cell:
    """One place of a study's table: a method on a base model and a challenge, run once for each seed."""

    number: int
    base_model: str
    challenge: str
    strategy: str
    adapter: str
    partition: Partition

    @property
    def partition_name(self) -> str:
        return partition_name(self.partition)


@dataclass(frozen=True)
class StudyPlan:
    """A study as it was written. Without a `preset` each challenge has its official template.

    `settings` are those of all runs by their names in a FederatedConfig, `strategy_options` those of single
    strategies; `target_modules` stand for single base models, and `exclude` names what is not run.
    """

    title: str
    preset: str
    base_models: tuple[str, ...]
    challenges: tuple[str, ...]
    strategies: tuple[str, ...]
    adapters: tuple[str, ...]
    seeds: tuple[int, ...]
    partitions: tuple[Partition, ...]
    settings: Mapping[str, Any]
    strategy_options: Mapping[str, Mapping[str, float]]
    target_modules: Mapping[str, Sequence[str]]
    exclude: tuple[Mapping[str, str], ...]

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """In the order of a table: base models, then challenges, then methods; numbered from 1."""
        wanted = (Cell(0, *place) for place in itertools.product(*self.axes))
        kept = (cell for cell in wanted if not any(_is_meant(cell, rule) for rule in self.exclude))
        return tuple(replace(cell, number=number) for number, cell in enumerate(kept, start=1))

    @property
    def axes(self) -> tuple[tuple[Any, ...], ...]:
        """The lists that make cells."""
        return self.base_models, self.challenges, self.strategies, self.adapters, self.partitions

    @property
    def runs(self) -> int:
        return len(self.cells) * len(self.seeds)

    def config(self, cell: Cell, seed: int) -> FederatedConfig:
        """The run of a cell with a seed; its paths are the names of the model and of nothing.

        Raises EvaluationError that names a setting that cannot be.
        """
        challenge = challenges.get(cell.challenge)
        start = presets.get(self.preset or cell.challenge).of(challenge, cell.strategy)
        options = {**dict(start["strategy_options"]), **self.strategy_options.get(cell.strategy, {})}
        begin = presets.config(start, model=Path(), base_model_id=cell.base_model, train_data=Path())
        values = {**begin.as_dict(), **self.settings}
        modules = self.target_modules.get(cell.base_model)
        values |= {
            "seed": seed,
            "adapter": cell.adapter,
            "strategy_options": options,
            "partition": {f.name: getattr(cell.partition, f.name) for f in fields(Partition)},
            **({"target_modules": list(modules)} if modules else {}),
        }
        return FederatedConfig.from_dict(values)


def read(text: str) -> StudyPlan:
    """The plan that a TOML file holds. Raises PlanError that says all that is wrong."""
    plan = stored(text)
    problems = [*_unknown(plan), *_misplaced(plan), *_too_many(plan)]
    if not problems:
        problems = _impossible(plan)
    if problems:
        raise PlanError(problems)
    return plan


def stored(text: str) -> StudyPlan:
    """A plan that was read before, without the question whether its runs can be.

    What was started stays as it was, whatever became of names and settings since. Raises PlanError where it
    has not a plan's form.
    """
    try:
        values = tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        raise PlanError([f"it is no TOML: {error}"]) from error
    except RecursionError as error:
        raise PlanError(["it cannot be read: its lists lie too deep in each other"]) from error
    problems = [f"{key} is no part of a plan" for key in sorted(set(values) - _KEYS)]
    title = values.get("title")
    if not _is_text(title) or len(title.strip()) > TITLE_LENGTH:
        problems.append(f"title must be a text of at most {TITLE_LENGTH} characters in one line")
    problems += [
        f"{axis} must be a list with something in it, each once"
        for axis in _AXES
        if not _is_axis(values.get(axis))
    ]
    if problems:
        raise PlanError(problems)
    return _made(values)


def named(name: str) -> str:
    """The text of the plan that comes with this program. Raises UnknownNameError with near names."""
    known = {path.stem: path for path in sorted(PLANS.glob("*.toml"))}
    return lookup("plan", name, known).read_text(encoding="utf-8")


def partition_name(partition: Partition) -> str:
    """As tables and exclusions name it: `iid`, `dirichlet 0.5 output`, `label 2 output`."""
    alpha = "" if partition.alpha is None else f"{partition.alpha:g}"
    labels = "" if partition.labels is None else str(partition.labels)
    return " ".join(filter(None, (partition.kind, alpha, labels, partition.column or "")))


def _made(values: Mapping[str, Any]) -> StudyPlan:
    problems: list[str] = []
    tables = {name: _table(values, name, problems) for name in ("settings", *_TABLES_OF)}
    for name, (is_right, what) in _TABLES_OF.items():
        problems += [
            f"{name}.{key} must be {what}" for key, value in tables[name].items() if not is_right(value)
        ]
    exclude = values.get("exclude", [])
    if not isinstance(exclude, list) or not all(isinstance(rule, Mapping) and rule for rule in exclude):
        problems.append("exclude must be tables that name what is not run")
    for seed in values["seeds"]:
        if type(seed) is not int or not 0 <= seed < _SEED_LIMIT:
            problems.append(f"{seed!r} is no seed: a whole number from 0")
    for axis in ("base_models", "challenges", "strategies", "adapters"):
        problems += [f"{axis}: {item!r} is no name" for item in values[axis] if not _is_text(item)]
    if not isinstance(values.get("preset", ""), str):
        problems.append("preset must be a name")
    partitions = _partitions(values.get("partitions", ["iid"]), problems)
    if problems:
        raise PlanError(problems)
    return StudyPlan(
        title=values["title"].strip(),
        preset=values.get("preset", ""),
        **{axis: tuple(values[axis]) for axis in _AXES},
        partitions=partitions,
        settings=tables["settings"],
        strategy_options=tables["strategy_options"],
        target_modules=tables["target_modules"],
        exclude=tuple(exclude),
    )


def _table(values: Mapping[str, Any], name: str, problems: list[str]) -> Mapping[str, Any]:
    table = values.get(name, {})
    if isinstance(table, Mapping):
        return table
    problems.append(f"{name} must be a table")
    return {}


def _partitions(items: object, problems: list[str]) -> tuple[Partition, ...]:
    """Each `"iid"` or `{kind = "dirichlet", alpha = 0.5, column = "output"}`; none has another's name."""
    made: dict[str, Partition] = {}
    if not isinstance(items, list) or not items:
        problems.append("partitions must be a list with something in it")
        return ()
    for item in items:
        try:
            partition = _partition(item)
        except EvaluationError as error:
            problems.append(str(error))
            continue
        name = partition_name(partition)
        if name in made:
            problems.append(f"partitions: {name} is there twice")
        made[name] = partition
    return tuple(made.values())


def _partition(item: object) -> Partition:
    values = {"kind": item} if isinstance(item, str) else item
    if not isinstance(values, Mapping) or values.get("kind") not in PARTITIONS:
        raise EvaluationError(f"{item!r} is no partition: name a kind of {', '.join(PARTITIONS)}")
    made: Partition = typed(Partition, values, f"partitions, {values['kind']}: ")
    return made


def _unknown(plan: StudyPlan) -> list[str]:
    """Names that nothing is called."""
    known: tuple[tuple[str, Sequence[str], Mapping[str, object]], ...] = (
        ("preset", (plan.preset,) if plan.preset else (), presets.PRESETS),
        ("challenge", plan.challenges, challenges.CHALLENGES),
        ("strategy", plan.strategies, {n: s for n, s in STRATEGIES.items() if s.builder}),
        ("adapter", plan.adapters, adapter_kinds.trained()),
    )
    problems = []
    for what, names, table in known:
        for name in names:
            try:
                lookup(what, name, table)
            except UnknownNameError as error:
                problems.append(str(error))
    return problems


def _misplaced(plan: StudyPlan) -> list[str]:
    """Settings that the axes decide, and tables about what is not in the plan."""
    problems = [
        f"settings.{name} is decided by the plan's lists" for name in plan.settings if name in _OF_AXES
    ]
    if "strategy_options" in plan.settings:
        problems.append("settings.strategy_options has a table of its own: [strategy_options.NAME]")
    problems += [
        f"strategy_options.{n} is no strategy of the plan"
        for n in plan.strategy_options
        if n not in plan.strategies
    ]
    problems += [
        f"target_modules.{n} is no base model of the plan"
        for n in plan.target_modules
        if n not in plan.base_models
    ]
    names: dict[str, Sequence[str]] = dict(zip(_EXCLUDABLE, plan.axes, strict=True))
    names["partition"] = [partition_name(partition) for partition in plan.partitions]
    for rule in plan.exclude:
        problems += [f"exclude cannot name {key}" for key in rule if key not in names]
        problems += [
            f"exclude: {value!r} is no {key} of the plan"
            for key, value in rule.items()
            if key in names and value not in names[key]
        ]
    return list(dict.fromkeys(problems))


def _too_many(plan: StudyPlan) -> list[str]:
    """More than a study may have, or nothing at all."""
    wanted = math.prod(len(axis) for axis in plan.axes)
    if wanted > MOST_CELLS:
        return [f"its lists make {wanted:,} cells, and a study has {MOST_RUNS:,} runs at most"]
    if not plan.cells:
        return ["everything is excluded"]
    if plan.runs > MOST_RUNS:
        return [f"it has {plan.runs:,} runs, and a study has {MOST_RUNS:,} at most"]
    return []


def _impossible(plan: StudyPlan) -> list[str]:
    """Settings that no run can have, each said once."""
    problems: dict[str, None] = {}
    for cell in {_likeness(cell, plan): cell for cell in reversed(plan.cells)}.values():
        try:
            plan.config(cell, plan.seeds[0])
        except EvaluationError as error:
            problems.setdefault(str(error))
    return list(problems)


def _likeness(cell: Cell, plan: StudyPlan) -> tuple[object, ...]:
    """What decides on a cell's settings: of the base model only whether it has modules of its own."""
    own = cell.base_model if cell.base_model in plan.target_modules else ""
    return own, cell.challenge, cell.strategy, cell.adapter, cell.partition


def _is_axis(values: object) -> bool:
    return isinstance(values, list) and bool(values) and len({repr(item) for item in values}) == len(values)


def _is_text(value: object) -> TypeGuard[str]:
    """Whether it is words in one line."""
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


def _are_modules(value: object) -> bool:
    return _is_axis(value) and isinstance(value, list) and all(map(_is_text, value))


# What tables by name hold: whether a value is right, and what it must be.
_TABLES_OF: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "strategy_options": (lambda value: isinstance(value, Mapping), "a table of its options"),
    "target_modules": (_are_modules, "a list of modules' names"),
}


def _is_meant(cell: Cell, rule: Mapping[str, str]) -> bool:
    own = {
        "base_model": cell.base_model,
        "challenge": cell.challenge,
        "strategy": cell.strategy,
        "adapter": cell.adapter,
        "partition": cell.partition_name,
    }
    return all(own.get(key) == value for key, value in rule.items())


def written(values: Mapping[str, Any]) -> Iterator[str]:
    """The lines of a plan made of lists and tables, as `read` takes them."""
    tables = {key: value for key, value in values.items() if isinstance(value, Mapping)}
    yield from (f"{key} = {_toml(value)}" for key, value in values.items() if key not in tables)
    for name, table in tables.items():
        if table:
            yield f"[{name}]"
            yield from (f"{_key(key)} = {_toml(value)}" for key, value in table.items())


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + re.sub(r"[\x00-\x1f\x7f]", " ", text) + '"'


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _toml(name)
