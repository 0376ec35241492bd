"""What a study asks: base models by challenges, strategies, adapters, partitions, seeds, as one TOML file."""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from evaluation import adapter_kinds
from evaluation.errors import EvaluationError, UnknownNameError
from evaluation.federated import presets
from evaluation.federated.config import PARTITIONS, FederatedConfig, Partition
from evaluation.method.strategies import STRATEGIES
from evaluation.names import lookup
from evaluation.rules import challenges

PLANS = Path(__file__).parent / "plans"
MOST_RUNS = 5_000
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
        axes = (self.base_models, self.challenges, self.strategies, self.adapters, self.partitions)
        wanted = (Cell(0, *place) for place in itertools.product(*axes))
        kept = (cell for cell in wanted if not any(_is_meant(cell, rule) for rule in self.exclude))
        return tuple(Cell(n, *place) for n, place in enumerate(map(_place, kept), start=1))

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
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PlanError([f"it is no TOML: {error}"]) from error
    problems = [f"{key} is no part of a plan" for key in sorted(set(values) - _KEYS)]
    title = values.get("title")
    if not isinstance(title, str) or not 0 < len(title.strip()) <= TITLE_LENGTH:
        problems.append(f"title must be a text of at most {TITLE_LENGTH} characters")
    problems += [
        f"{axis} must be a list with something in it, each once"
        for axis in _AXES
        if not _is_axis(values.get(axis))
    ]
    if problems:
        raise PlanError(problems)
    plan = _made(values)
    problems = [*_unknown(plan), *_misplaced(plan)]
    if not problems:
        problems = _impossible(plan)
    if problems:
        raise PlanError(problems)
    return plan


def named(name: str) -> str:
    """The text of the plan that comes with this program. Raises UnknownNameError with near names."""
    known = {path.stem: path for path in sorted(PLANS.glob("*.toml"))}
    return lookup("plan", name, known).read_text(encoding="utf-8")


def partition_name(partition: Partition) -> str:
    """As tables and exclusions name it: `iid`, `dirichlet 0.5 output`."""
    parts = (partition.kind, f"{partition.alpha:g}" if partition.alpha else "", partition.column or "")
    return " ".join(filter(None, parts))


def _made(values: Mapping[str, Any]) -> StudyPlan:
    problems: list[str] = []
    partitions = values.get("partitions", ["iid"])
    if not _is_axis(partitions):
        raise PlanError(["partitions must be a list with something in it, each once"])
    tables: dict[str, Mapping[str, Any]] = {}
    for name in ("settings", "strategy_options", "target_modules"):
        table = values.get(name, {})
        if not isinstance(table, Mapping):
            problems.append(f"{name} must be a table")
        tables[name] = table
    exclude = values.get("exclude", [])
    if not isinstance(exclude, list) or not all(isinstance(rule, Mapping) and rule for rule in exclude):
        problems.append("exclude must be tables that name what is not run")
    for seed in values["seeds"]:
        if type(seed) is not int or not 0 <= seed < _SEED_LIMIT:
            problems.append(f"{seed!r} is no seed: a whole number from 0")
    for axis in ("base_models", "challenges", "strategies", "adapters"):
        problems += [f"{axis}: {item!r} is no name" for item in values[axis] if not isinstance(item, str)]
    if not isinstance(values.get("preset", ""), str):
        problems.append("preset must be a name")
    shares = [_partition(item, problems) for item in partitions]
    if problems:
        raise PlanError(problems)
    return StudyPlan(
        title=values["title"].strip(),
        preset=values.get("preset", ""),
        **{axis: tuple(values[axis]) for axis in _AXES},
        partitions=tuple(shares),
        settings=tables["settings"],
        strategy_options=tables["strategy_options"],
        target_modules=tables["target_modules"],
        exclude=tuple(exclude),
    )


def _partition(item: object, problems: list[str]) -> Partition:
    """`"iid"` or `{kind = "dirichlet", alpha = 0.5, column = "output"}`."""
    if isinstance(item, str):
        item = {"kind": item}
    try:
        assert isinstance(item, Mapping)
        made = Partition(**item)
        known = made.kind in PARTITIONS and isinstance(made.alpha, int | float | None)
        assert known and isinstance(made.column, str | None)
    except (AssertionError, TypeError):
        kinds = ", ".join(PARTITIONS)
        problems.append(f"{item!r} is no partition: name a kind of {kinds}, with alpha or column")
        return Partition()
    return Partition(made.kind, None if made.alpha is None else float(made.alpha), made.column)


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
    for rule in plan.exclude:
        problems += [f"exclude cannot name {key}" for key in rule if key not in _EXCLUDABLE]
    if not problems and not plan.cells:
        problems.append("everything is excluded")
    if plan.runs > MOST_RUNS:
        problems.append(f"it has {plan.runs:,} runs, and a study has {MOST_RUNS:,} at most")
    return problems


def _impossible(plan: StudyPlan) -> list[str]:
    """Settings that no run can have, each said once."""
    problems: dict[str, None] = {}
    for cell in plan.cells:
        try:
            plan.config(cell, plan.seeds[0])
        except EvaluationError as error:
            problems.setdefault(str(error))
    return list(problems)


def _is_axis(values: object) -> bool:
    return isinstance(values, list) and bool(values) and len({repr(item) for item in values}) == len(values)


def _place(cell: Cell) -> tuple[str, str, str, str, Partition]:
    return cell.base_model, cell.challenge, cell.strategy, cell.adapter, cell.partition


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
