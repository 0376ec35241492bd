"""Scoring: completions joined to items by id, judged, and counted."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy

from evaluation.benchmarks.samples import Completion, Sample
from evaluation.data import DataKind, Dataset
from evaluation.energy import Energy
from evaluation.running.judging import Judgement
from evaluation.statistics import (
    Interval,
    attempts_interval,
    binomial_stderr,
    combined_interval,
    mean_and_stderr,
    pass_at_k,
    wilson_interval,
)

_PASS_AT = (1, 10, 100)


@dataclass(frozen=True)
class Item:
    """One answer to an item. `prediction` and `correct` are None where there was none to score.

    `attempt` counts the answers to one item from 0; `detail` says how a program failed.
    """

    benchmark: str
    sample: Sample
    completion: str | None
    prediction: str | None
    correct: bool | None
    failure: str = ""
    detail: str = ""
    attempt: int = 0

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
        if self.sample.group:
            line["group"] = self.sample.group
        if self.attempt:
            line["attempt"] = self.attempt
        if self.failure:
            line["failure"] = self.failure
        if self.detail:
            line["detail"] = self.detail
        return line


@dataclass(frozen=True)
class Cost:
    """What a score took: seconds of generating and of judging, tokens of all answers together.

    `energy` is what was used while generating, as far as a meter tells.
    """

    generating_seconds: float = 0.0
    judging_seconds: float = 0.0
    prompt_tokens: int = 0
    generated_tokens: int = 0
    energy: Energy = field(default_factory=Energy)

    @property
    def seconds(self) -> float:
        return self.generating_seconds + self.judging_seconds

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.generated_tokens

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens of prompts and answers for each second of generating; None where nothing was generated."""
        return self.tokens / self.generating_seconds if self.tokens and self.generating_seconds else None

    def as_dict(self) -> dict[str, Any]:
        rate = self.tokens_per_second
        return {
            "seconds": round(self.seconds, 3),
            "generating_seconds": round(self.generating_seconds, 3),
            "judging_seconds": round(self.judging_seconds, 3),
            "tokens": self.tokens,
            "prompt_tokens": self.prompt_tokens,
            "generated_tokens": self.generated_tokens,
            "tokens_per_second": None if rate is None else round(rate, 3),
            "energy_joules": self.energy.joules,
            "energy_net_joules": self.energy.net_joules,
            "idle_watts": self.energy.idle_watts,
            "energy_method": self.energy.method,
        }


@dataclass(frozen=True)
class Score:
    """The result on one benchmark; `items` stand in its order, an item's `attempts` answers together.

    An item with an answer missing for a reason that is not the model's is unscored. It counts neither as
    right nor as wrong: the score is over the others. A score with unscored items is incomplete.
    """

    dataset: Dataset
    items: tuple[Item, ...]
    unofficial: tuple[str, ...]
    cost: Cost
    attempts: int = 1

    @property
    def benchmark(self) -> str:
        return self.dataset.benchmark.slug

    @property
    def data(self) -> DataKind:
        return self.dataset.kind

    @property
    def n(self) -> int:
        """All items that were to be answered, unscored ones included."""
        return len(self.items) // self.attempts

    @cached_property
    def right(self) -> tuple[int | None, ...]:
        """Of each item, how many of its attempts are right; None where the item is unscored."""
        counts: list[int | None] = []
        for start in range(0, len(self.items), self.attempts):
            verdicts = [item.correct for item in self.items[start : start + self.attempts]]
            counts.append(None if None in verdicts else sum(map(bool, verdicts)))
        return tuple(counts)

    @property
    def correct_count(self) -> int:
        """Right answers to the scored items."""
        return sum(count for count in self.right if count is not None)

    @property
    def unscored(self) -> int:
        return self.right.count(None)

    @property
    def scored(self) -> int:
        return self.n - self.unscored

    @property
    def value(self) -> float | None:
        """Proportion of right answers to the scored items, in [0, 1]; None when none was scored.

        With several attempts an item this is the unbiased estimate of pass@1.
        """
        return self.correct_count / (self.scored * self.attempts) if self.scored else None

    @property
    def stderr(self) -> float | None:
        """Over items: their number is what a benchmark has little of."""
        if not self.scored:
            return None
        if self.attempts == 1:
            return binomial_stderr(self.correct_count, self.scored)
        return self._pass_at(1)[1]

    @property
    def interval(self) -> Interval | None:
        """The 95% interval of `value`: Wilson's, of several answers an item at their effective number."""
        if not self.scored:
            return None
        if self.attempts == 1:
            return wilson_interval(self.correct_count, self.scored)
        return attempts_interval(*self._pass_at(1), self.scored, self.attempts)

    def _pass_at(self, k: int) -> tuple[float, float]:
        """pass@k and its standard error."""
        counts = [count for count in self.right if count is not None]
        return mean_and_stderr([pass_at_k(self.attempts, count, k) for count in counts])

    @property
    def correct_bits(self) -> bytes:
        """Which items are right, with one attempt each; packed, first item in the highest bit."""
        return _packed([count == 1 for count in self.right])

    @property
    def scored_bits(self) -> bytes:
        """Which items are scored, packed alike."""
        return _packed([count is not None for count in self.right])

    @property
    def official(self) -> bool:
        return not self.unofficial

    @property
    def without_leaked(self) -> tuple[int, int]:
        """Right and scored items without those that stand in the training data too."""
        kept = [
            count
            for item, count in zip(self.items[:: self.attempts], self.right, strict=True)
            if count is not None and not item.sample.leaked
        ]
        return sum(kept), len(kept)

    def as_dict(self) -> dict[str, Any]:
        """The entry of a results file. Keys are a stable interface."""
        entry: dict[str, Any] = {
            "score": self.value,
            "stderr": self.stderr,
            "interval": self.interval,
            "metric": self.dataset.benchmark.metric,
            "n": self.n,
            "available": self.dataset.available,
            "correct_count": self.correct_count,
            "unscored": self.unscored,
            **self.cost.as_dict(),
            "data": self.data,
            "data_source": self.dataset.source,
            "data_digest": self.dataset.digest,
            "official": self.official,
            "official_reasons": list(self.unofficial),
        }
        leaked = sum(sample.leaked for sample in self.dataset.samples)
        if leaked:
            right, scored = self.without_leaked
            entry["leaked"] = leaked
            entry["score_without_leaked"] = right / (scored * self.attempts) if scored else None
        if self.attempts == 1:
            entry["correct_bits"] = base64.b64encode(self.correct_bits).decode("ascii")
            entry["scored_bits"] = base64.b64encode(self.scored_bits).decode("ascii")
        elif self.scored:
            entry["attempts"] = self.attempts
            entry["pass_at"] = {str(k): self._pass_at(k)[0] for k in _PASS_AT if k <= self.attempts}
        return entry


def _packed(flags: Sequence[bool]) -> bytes:
    return numpy.packbits(numpy.array(flags, dtype=bool)).tobytes()


def attempt_key(sample: Sample, attempt: int, attempts: int) -> str:
    """What an answer is asked and joined by: the sample's key, numbered where there are several attempts."""
    return sample.key if attempts == 1 else f"{sample.key}#{attempt}"


def score(
    dataset: Dataset,
    completions: Mapping[str, Completion],
    judgements: Mapping[str, Judgement],
    *,
    cost: Cost,
    attempts: int = 1,
    unofficial: Iterable[str] = (),
) -> Score:
    """Score a data set's items by the completions and judgements of their attempts' keys.

    A missing completion leaves its item unscored. `unofficial` adds reasons that lie in how the completions
    came about, not in the data.
    """
    items = tuple(
        _item(dataset, sample, attempt, completions.get(key), judgements.get(key))
        for sample in dataset.samples
        for attempt in range(attempts)
        for key in (attempt_key(sample, attempt, attempts),)
    )
    return Score(dataset, items, (*dataset.unofficial, *unofficial), cost, attempts)


def _item(
    dataset: Dataset,
    sample: Sample,
    attempt: int,
    completion: Completion | None,
    judgement: Judgement | None,
) -> Item:
    slug = dataset.benchmark.slug
    if completion is None or completion.text is None or judgement is None:
        failure = completion.failure if completion else "there is no completion of this id"
        return Item(slug, sample, None, None, None, failure, attempt=attempt)
    return Item(
        slug,
        sample,
        completion.text,
        judgement.prediction,
        judgement.prediction == sample.target,
        detail=judgement.detail,
        attempt=attempt,
    )


def average(scores: Sequence[Score]) -> tuple[float | None, Interval | None]:
    """The plain mean of the scores and its 95% interval; None where a score has no value."""
    values = [score.value for score in scores]
    intervals = [score.interval for score in scores]
    known = [value for value in values if value is not None]
    limits = [interval for interval in intervals if interval is not None]
    if not known or len(known) < len(values):
        return None, None
    return math.fsum(known) / len(known), combined_interval(known, limits)


def write_items(path: Path, scores: Iterable[Score]) -> None:
    """Write one JSON line an item."""
    with path.open("w", encoding="utf-8") as file:
        for result in scores:
            for item in result.items:
                file.write(json.dumps(item.as_dict(), ensure_ascii=False) + "\n")
