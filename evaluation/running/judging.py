"""From completions to predictions: labels are read by the benchmark's rule, programs run in the sandbox."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from evaluation import sandbox
from evaluation.benchmarks.definition import Benchmark
from evaluation.benchmarks.samples import Sample
from evaluation.rules.protocol import Protocol
from evaluation.sandbox import Language, Limits, Program

Judged = Callable[[int], None]
"""Told how many of the answers are judged so far."""

# Waiting and starting take time beyond the program's own, more of it on a busy machine.
_WALL_FACTOR = 3


@dataclass(frozen=True)
class Judgement:
    """What an answer came to, to be compared with the sample's target; `detail` says how a program failed."""

    prediction: str
    detail: str = ""


@dataclass(frozen=True)
class Answer:
    """A completion's text for a sample, under the key that it was asked by."""

    key: str
    sample: Sample
    text: str


def check_sandbox(benchmarks: Iterable[Benchmark]) -> None:
    """Raises SandboxError when the programs of these benchmarks cannot be run in isolation here."""
    languages = {benchmark.language for benchmark in benchmarks if benchmark.language is not None}
    if languages:
        sandbox.check(languages)


def judge(
    benchmark: Benchmark, answers: Iterable[Answer], rules: Protocol, judged: Judged
) -> Mapping[str, Judgement]:
    """The judgement of every answer, by its key. Raises SandboxError where programs cannot be run."""
    if benchmark.language is None:
        return {answer.key: Judgement(benchmark.read(answer.text)) for answer in answers}
    return _run(benchmark, benchmark.language, list(answers), rules, judged)


def _run(
    benchmark: Benchmark, language: Language, answers: list[Answer], rules: Protocol, judged: Judged
) -> Mapping[str, Judgement]:
    seconds = rules.program_seconds[language]
    limits = Limits(cpu_seconds=seconds, wall_seconds=_WALL_FACTOR * seconds)
    programs = [_program(benchmark, language, answer) for answer in answers]
    judgements = {}
    for done, (position, outcome) in enumerate(sandbox.run(programs, limits), 1):
        judgements[answers[position].key] = Judgement(outcome.verdict.value, outcome.detail)
        judged(done)
    return judgements


def _program(benchmark: Benchmark, language: Language, answer: Answer) -> Program:
    sample = answer.sample
    setup = f"{sample.setup}\n" if sample.setup else ""
    return Program(language, setup + sample.prompt + benchmark.read(answer.text), sample.tests)
