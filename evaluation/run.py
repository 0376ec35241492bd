"""Running benchmarks on a model: one plan in, scores and their provenance out.

An Evaluator keeps the base model between plans, so that many adapters need it loaded only once.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation import benchmarks, challenges, data, engines, hub, protocol, provenance
from evaluation.engines import Answered, Engine
from evaluation.engines.scripted import ScriptedEngine, read_completions
from evaluation.errors import CheckpointError, DataError, EvaluationError, ModelError
from evaluation.names import lookup
from evaluation.protocol import PRECISIONS, Precision, Protocol
from evaluation.provenance import Fingerprint, Provenance, Subject
from evaluation.samples import Request
from evaluation.score import Score, average, score


@dataclass(frozen=True)
class Plan:
    """What to evaluate. `model` is a folder or a hub id, `data` a folder or `demonstration`.

    `precision` None is the protocol's own for these benchmarks.
    """

    model: str
    benchmarks: tuple[str, ...]
    adapter: Path | None = None
    protocol: int = protocol.CURRENT.number
    engine: str = engines.AUTO
    precision: str | None = None
    data: str | None = None
    limit: int | None = None


@dataclass(frozen=True)
class Progress:
    """`done` of `total` items of one benchmark; the `plan_…` counts cover all benchmarks of the plan."""

    benchmark: str
    done: int
    total: int
    plan_done: int
    plan_total: int


class Observer:
    """Told what happens during an evaluation; does nothing itself."""

    def loading(self) -> None:
        """A base model is about to be loaded."""

    def progress(self, progress: Progress) -> None:
        """More items are answered; called often."""

    def scored(self, result: Score) -> None:
        """One benchmark is done."""


@dataclass(frozen=True)
class Evaluation:
    """The scores of a plan, in its order."""

    scores: tuple[Score, ...]
    provenance: Provenance

    def as_dict(self) -> dict[str, Any]:
        """The content of a results file. Keys are a stable interface."""
        mean, interval = average(self.scores)
        return {
            "protocol": self.provenance.protocol,
            "engine": self.provenance.engine.name,
            "benchmarks": {result.benchmark: result.as_dict() for result in self.scores},
            "average": mean,
            "average_interval": interval,
            "provenance": self.provenance.as_dict(),
        }


@dataclass(frozen=True)
class _Loaded:
    """What identifies the base model that an engine holds."""

    engine: str
    folder: Path
    files: Fingerprint
    precision: Precision


class Evaluator:
    """Evaluates plans one after another on at most one resident base model."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._loaded: _Loaded | None = None

    def evaluate(self, plan: Plan, observer: Observer) -> Evaluation:
        """Run a plan. Everything that can be checked is checked before the model is loaded.

        Raises EvaluationError in one of its forms. After OutOfMemoryError the base model is dropped.
        """
        rules = protocol.get(plan.protocol)
        precision = _precision(plan, rules)
        datasets = [data.load(benchmarks.get(s), plan.data, rules, plan.limit) for s in plan.benchmarks]
        folder, name = _model(plan.model)
        if plan.adapter is not None and not plan.adapter.is_dir():
            raise CheckpointError(f"the adapter folder {plan.adapter} does not exist")
        try:
            engine = self._open(plan.engine, folder, precision, observer)
            engine.use_adapter(plan.adapter)
            scores = _scores(engine, datasets, rules, precision, observer)
        except EvaluationError as error:
            if error.retryable:
                self.close()
            raise
        subject = Subject.of_model(rules, precision, name, folder, plan.adapter)
        return Evaluation(scores, provenance.describe(subject, engine.facts(), scores))

    def _open(self, name: str, folder: Path, precision: Precision, observer: Observer) -> Engine:
        wanted = _Loaded(engines.resolve(name), folder.resolve(), provenance.fingerprint(folder), precision)
        if self._engine is not None and self._loaded == wanted:
            return self._engine
        self.close()
        observer.loading()
        engine = engines.create(name)
        engine.open(folder, precision)
        self._engine, self._loaded = engine, wanted
        return engine

    def close(self) -> None:
        """Free the base model."""
        if self._engine is not None:
            self._engine.close()
        self._engine = self._loaded = None


def score_completions(slug: str, completions: Path, location: str | None, number: int) -> Evaluation:
    """Score a file of completions of one benchmark, made elsewhere: never officially.

    Raises DataError when the file is malformed or holds ids that the benchmark does not have.
    """
    rules = protocol.get(number)
    dataset = data.load(benchmarks.get(slug), location, rules, None)
    strange = set(read_completions(completions)) - {sample.key for sample in dataset.samples}
    if strange:
        raise DataError(
            f"{completions} has {len(strange)} ids that {slug} does not have in these data, "
            f"first: {min(strange)!r}"
        )
    engine = ScriptedEngine({slug: completions})
    scores = _scores(engine, [dataset], rules, None, Observer())
    subject = Subject(rules.number, None, completions.name, [completions])
    return Evaluation(scores, provenance.describe(subject, engine.facts(), scores))


def _scores(
    engine: Engine,
    datasets: Sequence[data.Dataset],
    rules: Protocol,
    precision: Precision | None,
    observer: Observer,
) -> tuple[Score, ...]:
    scores: list[Score] = []
    plan_total = sum(len(dataset.samples) for dataset in datasets)
    before = 0
    for dataset in datasets:
        slug, total = dataset.benchmark.slug, len(dataset.samples)

        def answered(done: int, slug: str = slug, total: int = total, before: int = before) -> None:
            observer.progress(Progress(slug, done, total, before + done, plan_total))

        scores.append(
            _score(engine, dataset, rules, answered, _unofficial(engine, dataset, rules, precision))
        )
        observer.scored(scores[-1])
        before += total
    return tuple(scores)


def _score(
    engine: Engine,
    dataset: data.Dataset,
    rules: Protocol,
    answered: Answered,
    unofficial: Sequence[str],
) -> Score:
    benchmark = dataset.benchmark
    requests = [Request(benchmark.slug, sample.key, sample.prompt) for sample in dataset.samples]
    decoding = benchmark.decoding(rules, engine.count_tokens)
    start = time.monotonic()
    completions = {answer.key: answer for answer in engine.generate(requests, decoding, answered)}
    seconds = time.monotonic() - start
    return score(dataset, completions, seconds=seconds, unofficial=unofficial)


def _unofficial(
    engine: Engine, dataset: data.Dataset, rules: Protocol, precision: Precision | None
) -> list[str]:
    """Why a score from this engine at this precision is not official; empty when it can be."""
    if not engine.generates:
        return ["the completions were not generated here"]
    official = rules.precisions[dataset.benchmark.challenge]
    if precision != official:
        return [f"the precision is {precision}; protocol {rules.number} asks for {official}"]
    return []


def _precision(plan: Plan, rules: Protocol) -> Precision:
    if plan.precision is not None:
        return lookup("precision", plan.precision, {known: known for known in PRECISIONS})
    official = {rules.precisions[benchmarks.get(slug).challenge] for slug in plan.benchmarks}
    if len(official) != 1:
        raise EvaluationError("these benchmarks have different precisions: evaluate them apart")
    return official.pop()


def _model(name: str) -> tuple[Path, str]:
    """The folder of a model, and what to call it in the provenance."""
    folder = Path(name)
    if folder.is_dir():
        return folder, folder.resolve().name
    if folder.is_absolute() or name.startswith(".") or not hub.is_hub_id(name):
        raise ModelError(f"there is no model folder {name}")
    snapshot = hub.fetch(name)
    return snapshot.folder, f"{snapshot.repo}@{snapshot.commit}"


def benchmarks_of(challenge: str) -> tuple[str, ...]:
    """The benchmarks of a challenge. Raises EvaluationError when this version cannot evaluate them."""
    found = challenges.get(challenge)
    if not found.evaluable:
        raise EvaluationError(
            f"this version cannot evaluate the benchmarks of {found.slug} ({', '.join(found.benchmarks)})"
        )
    return found.benchmarks
