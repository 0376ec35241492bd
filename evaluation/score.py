"""Scoring: completions joined to items by id, read by the benchmark's rule, and counted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.data import DataKind, Dataset
from evaluation.samples import Completion, Sample
from evaluation.statistics import Interval, binomial_stderr, mean_interval, wilson_interval


@dataclass(frozen=True)
class Item:
    """One item with its answer. `prediction` and `correct` are None where there was none to score."""

    benchmark: str
    sample: Sample
    completion: str | None
    prediction: str | None
    correct: bool | None
    failure: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The line of an items file."""
        line = {
            "benchmark": self.benchmark,
            "id": self.sample.id,
            "prompt": self.sample.prompt,
            "completion": self.completion,
            "prediction": self.prediction,
            "target": self.sample.target,
            "correct": self.correct,
        }
        if self.failure:
            line["failure"] = self.failure
        return line


@dataclass(frozen=True)
class Score:
    """The result on one benchmark; `items` stand in its order.

    `unscored` items have no answer for a reason that is not the model's. They count neither as right nor as
    wrong: the proportion is over the others. A score with unscored items is incomplete.
    """

    dataset: Dataset
    items: tuple[Item, ...]
    unofficial: tuple[str, ...]
    seconds: float
    prompt_tokens: int
    generated_tokens: int

    @property
    def benchmark(self) -> str:
        return self.dataset.benchmark.slug

    @property
    def data(self) -> DataKind:
        return self.dataset.kind

    @property
    def n(self) -> int:
        """All items that were to be answered, unscored ones included."""
        return len(self.items)

    @property
    def correct_count(self) -> int:
        return sum(item.correct is True for item in self.items)

    @property
    def unscored(self) -> int:
        return sum(item.correct is None for item in self.items)

    @property
    def scored(self) -> int:
        return self.n - self.unscored

    @property
    def value(self) -> float | None:
        """Proportion right of the scored items, in [0, 1]; None when none was scored."""
        return self.correct_count / self.scored if self.scored else None

    @property
    def stderr(self) -> float | None:
        return binomial_stderr(self.correct_count, self.scored) if self.scored else None

    @property
    def interval(self) -> Interval | None:
        """The 95% Wilson interval of `value`."""
        return wilson_interval(self.correct_count, self.scored) if self.scored else None

    @property
    def official(self) -> bool:
        return not self.unofficial

    def as_dict(self) -> dict[str, Any]:
        """The entry of a results file. Keys are a stable interface."""
        return {
            "score": self.value,
            "stderr": self.stderr,
            "interval": self.interval,
            "n": self.n,
            "available": self.dataset.available,
            "correct_count": self.correct_count,
            "unscored": self.unscored,
            "seconds": round(self.seconds, 3),
            "tokens": self.prompt_tokens + self.generated_tokens,
            "prompt_tokens": self.prompt_tokens,
            "generated_tokens": self.generated_tokens,
            "data": self.data,
            "data_digest": self.dataset.digest,
            "official": self.official,
            "official_reasons": list(self.unofficial),
        }


def score(
    dataset: Dataset,
    completions: Mapping[str, Completion],
    *,
    seconds: float,
    unofficial: Iterable[str] = (),
) -> Score:
    """Score a data set's items by the completions of their keys; a missing one leaves its item unscored.

    `unofficial` adds reasons that lie in how the completions came about, not in the data.
    """
    items = tuple(_item(dataset, sample, completions.get(sample.key)) for sample in dataset.samples)
    answered = [completions[s.key] for s in dataset.samples if s.key in completions]
    return Score(
        dataset,
        items,
        (*dataset.unofficial, *unofficial),
        seconds,
        prompt_tokens=sum(completion.prompt_tokens for completion in answered),
        generated_tokens=sum(completion.generated_tokens for completion in answered),
    )


def _item(dataset: Dataset, sample: Sample, completion: Completion | None) -> Item:
    benchmark = dataset.benchmark
    if completion is None or completion.text is None:
        failure = completion.failure if completion else "there is no completion of this id"
        return Item(benchmark.slug, sample, None, None, None, failure)
    prediction = benchmark.read(completion.text)
    return Item(benchmark.slug, sample, completion.text, prediction, prediction == sample.target)


def average(scores: Iterable[Score]) -> tuple[float | None, Interval | None]:
    """The plain mean of the scores and its 95% interval; None where a score has no value."""
    counts = [(score.correct_count, score.scored) for score in scores]
    if not counts or not all(n for _, n in counts):
        return None, None
    return sum(correct / n for correct, n in counts) / len(counts), mean_interval(counts)


def write_items(path: Path, scores: Iterable[Score]) -> None:
    """Write one JSON line an item."""
    with path.open("w", encoding="utf-8") as file:
        for result in scores:
            for item in result.items:
                file.write(json.dumps(item.as_dict(), ensure_ascii=False) + "\n")
