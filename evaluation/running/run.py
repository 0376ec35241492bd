"""Running benchmarks on a model: one plan in, scores and their provenance out.

An Evaluator keeps the base model between plans, so that many adapters need it loaded only once.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from evaluation import benchmarks, data, engines, gpus
from evaluation.benchmarks import Benchmark
from evaluation.benchmarks.samples import Decoding, Request
from evaluation.energy import Energy
from evaluation.engines import Choice, Engine
from evaluation.engines.scripted import ScriptedEngine
from evaluation.errors import CheckpointError, EvaluationError, UnknownNameError
from evaluation.hub import base_models
from evaluation.metering.meter import EnergyMeter
from evaluation.names import lookup
from evaluation.rules import protocol
from evaluation.rules.protocol import PRECISIONS, Precision, Protocol
from evaluation.running import provenance
from evaluation.running.completions import read_given
from evaluation.running.judging import Answer, check_sandbox, judge
from evaluation.running.provenance import Fingerprint, Provenance, Subject
from evaluation.running.score import Cost, Score, attempt_key, average, score
from evaluation.wire.registration import Registration


@dataclass(frozen=True)
class Plan:
    """What to evaluate. `model` is a folder or a hub id, `data` a folder or `demonstration`.

    `registered` tells which rows are official where this project knows no digest; None asks the register of
    this machine.
    `precision` None is the protocol's own for these benchmarks. With `samples` above 1, so many completions
    of each programming problem are drawn as the protocol says, for pass@k; never officially. A `smoke_run`
    asks few items of each benchmark, as `evaluation.data.load` chooses them.
    """

    model: str
    benchmarks: tuple[str, ...]
    adapter: Path | None = None
    protocol: int = protocol.CURRENT.number
    engine: str = engines.AUTO
    precision: str | None = None
    data: str | None = None
    limit: int | None = None
    samples: int = 1
    registered: tuple[Registration, ...] | None = None
    smoke_run: bool = False


@dataclass(frozen=True)
class Progress:
    """`done` of `total` answers to one benchmark are generated, or then judged, as `phase` says.

    The `plan_…` counts are of answers generated, over all benchmarks of the plan.
    """

    benchmark: str
    done: int
    total: int
    plan_done: int
    plan_total: int
    phase: Literal["generating", "judging", "reading"] = "generating"


class Observer:
    """Told what happens during an evaluation; does nothing itself."""

    def chosen(self, engine: Choice) -> None:
        """This engine answers, and why."""

    def noted(self, note: str) -> None:
        """Something will be otherwise than asked for; told before anything is loaded."""

    def loading(self) -> None:
        """A base model is about to be loaded."""

    def progress(self, progress: Progress) -> None:
        """More items are answered; called often."""

    def scored(self, result: Score) -> None:
        """One benchmark is done."""


@dataclass(frozen=True)
class Outcome:
    """The scores of a plan, in its order; `warnings` are about completions that were given."""

    scores: tuple[Score, ...]
    provenance: Provenance
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The content of a results file. Keys are a stable interface."""
        mean, interval = average(self.scores)
        return {
            "protocol": self.provenance.protocol,
            "engine": self.provenance.engine.name,
            "benchmarks": {result.benchmark: result.as_dict() for result in self.scores},
            "average": mean,
            "average_interval": interval,
            "warnings": list(self.warnings),
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

    def __init__(self, meter: EnergyMeter | None = None) -> None:
        self.meter = meter or EnergyMeter()
        self._engine: Engine | None = None
        self._loaded: _Loaded | None = None

    def evaluate(self, plan: Plan, observer: Observer) -> Outcome:
        """Run a plan. Everything that can be checked is checked before the model is loaded.

        Raises EvaluationError in one of its forms. After a retryable one the base model is dropped.
        """
        with self.meter.present():
            return self._evaluate(plan, observer)

    def _evaluate(self, plan: Plan, observer: Observer) -> Outcome:
        clock = _Clock()
        rules = protocol.get(plan.protocol)
        precision, note = _computed(_precision(plan, rules))
        if note:
            observer.noted(note)
        wanted = [_asked(slug, rules) for slug in plan.benchmarks]
        _check_samples(plan.samples, wanted)
        check_sandbox(wanted)
        known = data.RegisterFile() if plan.registered is None else data.Given(plan.registered)
        datasets = [
            data.load(b, plan.data, rules, plan.limit, register=known, smoke_run=plan.smoke_run)
            for b in wanted
        ]
        clock.lap("reading the data")
        model = base_models.named(plan.model)
        clock.lap("fetching the base model")
        if plan.adapter is not None and not plan.adapter.is_dir():
            raise CheckpointError(f"the adapter folder {plan.adapter} does not exist")
        try:
            choice = engines.choose(plan.engine, model.folder, plan.adapter, precision)
            observer.chosen(choice)
            engine = self.opened(choice.name, model.folder, precision, observer)
            clock.lap("loading the base model")
            engine.use_adapter(plan.adapter)
            clock.lap("loading the adapter")
            asking = _Asking(engine, self.meter, rules, precision, observer, plan.samples, note)
            scores = asking.score(datasets)
        except EvaluationError as error:
            if error.retryable:
                self.close()
            raise
        subject = Subject.of_model(rules, precision, model.title, model.folder, plan.adapter)
        facts = replace(engine.facts(), reason=choice.reason)
        return Outcome(scores, provenance.describe(subject, facts, scores, clock.laps))

    def opened(self, name: str, folder: Path, precision: Precision, observer: Observer) -> Engine:
        """That engine with the base model of a folder: the one that is resident, if it is so."""
        wanted = _Loaded(name, folder.resolve(), provenance.fingerprint(folder), precision)
        if self._engine is not None and self._loaded == wanted:
            return self._engine
        self.close()
        engine = engines.create(name)
        if engine.generates:
            self.meter.measure_idle()
        observer.loading()
        engine.open(folder, precision)
        self._engine, self._loaded = engine, wanted
        return engine

    def close(self) -> None:
        """Free the base model."""
        if self._engine is not None:
            self._engine.close()
        self._engine = self._loaded = None


def score_completions(
    slug: str, completions: Path, location: str | None, number: int, observer: Observer | None = None
) -> Outcome:
    """Score a file of completions of one benchmark, made elsewhere: never officially.

    The file may be of any form that `engines.completion_files` reads, also with several completions of each
    program. Raises UnknownNameError where the protocol has no such benchmark, DataError when the file is
    malformed or holds ids that the benchmark does not have.
    """
    rules = protocol.get(number)
    dataset = data.load(_asked(slug, rules), location, rules, None, register=data.RegisterFile())
    given = read_given(completions, dataset)
    check_sandbox([dataset.benchmark])
    engine = ScriptedEngine({slug: given.texts})
    scores = _Asking(engine, EnergyMeter(), rules, None, observer or Observer(), given.attempts).score(
        [dataset]
    )
    subject = Subject(rules.number, None, completions.name, [completions])
    described = provenance.describe(subject, engine.facts(), scores, {})
    return Outcome(scores, described, given.warnings)


class _Clock:
    """Seconds of the phases of a run, by what was done in them."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        """What happened since the last lap was `name`."""
        now = time.monotonic()
        self.laps[name] = round(now - self._last, 3)
        self._last = now


@dataclass(frozen=True)
class _Asking:
    """How the items of a run are asked and scored. `precision` is None where nothing is computed.

    `note` says how it differs from what was asked for, "" where it does not.
    """

    engine: Engine
    meter: EnergyMeter
    rules: Protocol
    precision: Precision | None
    observer: Observer
    samples: int = 1
    note: str = ""

    def score(self, datasets: Sequence[data.Dataset]) -> tuple[Score, ...]:
        scores: list[Score] = []
        plan_total = self.samples * sum(len(dataset.samples) for dataset in datasets)
        before = 0
        for dataset in datasets:
            total = self.samples * len(dataset.samples)
            start = Progress(dataset.benchmark.slug, 0, total, before, plan_total)
            scores.append(self._score(dataset, start))
            self.observer.scored(scores[-1])
            before += total
        return tuple(scores)

    def _score(self, dataset: data.Dataset, start: Progress) -> Score:
        benchmark = dataset.benchmark

        def generated(done: int) -> None:
            self.observer.progress(replace(start, done=done, plan_done=start.plan_done + done))

        def judged(done: int) -> None:
            self.observer.progress(
                replace(start, done=done, plan_done=start.plan_done + start.total, phase="judging")
            )

        asked = {
            attempt_key(sample, attempt, self.samples): sample
            for sample in dataset.samples
            for attempt in range(self.samples)
        }
        requests = [
            Request(benchmark.slug, key, sample.prompt, _seed(self.rules, benchmark.slug, key))
            for key, sample in asked.items()
        ]
        with self.meter.measuring(self.engine.gpu_uuids()) as measured:
            clock = time.monotonic()
            answers = {a.key: a for a in self.engine.generate(requests, self._decoding(benchmark), generated)}
            generating = time.monotonic() - clock
        texts = [Answer(key, asked[key], a.text) for key, a in answers.items() if a.text is not None]
        judgements = judge(benchmark, texts, self.rules, judged)
        cost = Cost(
            generating,
            time.monotonic() - clock - generating,
            prompt_tokens=sum(answer.prompt_tokens for answer in answers.values()),
            generated_tokens=sum(answer.generated_tokens for answer in answers.values()),
            energy=measured.energy if self.engine.generates else Energy(),
        )
        return score(
            dataset,
            answers,
            judgements,
            cost=cost,
            attempts=self.samples,
            unofficial=self._unofficial(benchmark),
        )

    def _decoding(self, benchmark: Benchmark) -> Decoding:
        decoding = benchmark.decoding(self.rules, self.engine.count_tokens)
        if self.samples == 1:
            return decoding
        sampling = self.rules.sampling
        return replace(decoding, temperature=sampling.temperature, top_p=sampling.top_p)

    def _unofficial(self, benchmark: Benchmark) -> list[str]:
        """Why a score that came about like this is not official; empty when it can be."""
        if not self.engine.generates:
            return ["the completions were not generated here"]
        reasons = []
        official = self.rules.precisions[benchmark.challenge]
        if self.precision != official:
            reasons.append(
                f"the precision is {self.precision}; protocol {self.rules.number} asks for {official}"
            )
        if self.note:
            reasons.append(self.note)
        if self.samples > 1:
            reasons.append(f"{self.samples} completions an item were sampled; the protocol decodes greedily")
        return reasons


def _asked(slug: str, rules: Protocol) -> Benchmark:
    """The benchmark. Raises UnknownNameError where there is none, or the protocol has not that one."""
    found = benchmarks.get(slug)
    if not rules.has(slug):
        raise UnknownNameError(f"protocol {rules.number} has no benchmark {slug!r}")
    return found


def _seed(rules: Protocol, benchmark: str, key: str) -> int:
    """A seed in [0, 2³²) of an answer's own, so that what is drawn does not depend on what else is asked."""
    text = f"{rules.sampling.seed}/{benchmark}/{key}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def _check_samples(samples: int, wanted: Sequence[Benchmark]) -> None:
    if samples < 1:
        raise EvaluationError(f"at least one completion an item is needed, not {samples}")
    if samples > 1 and (labelled := [b.slug for b in wanted if b.language is None]):
        raise EvaluationError(
            f"several completions an item are for programs (pass@k); {', '.join(labelled)} asks for labels"
        )


def _precision(plan: Plan, rules: Protocol) -> Precision:
    if plan.precision is not None:
        return lookup("precision", plan.precision, {known: known for known in PRECISIONS})
    official = {rules.precisions[benchmarks.get(slug).challenge] for slug in plan.benchmarks}
    if len(official) != 1:
        raise EvaluationError("these benchmarks have different precisions: evaluate them apart")
    return official.pop()


def _computed(asked: Precision) -> tuple[Precision, str]:
    """The precision that is computed in, and a note where that is not the one asked for."""
    if asked == "bf16" and not gpus.compute_bf16():
        return (
            "fp16",
            "this GPU does not compute in bf16: fp16 is used instead, and the scores are unofficial",
        )
    return asked, ""
