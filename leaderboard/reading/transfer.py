"""Reads what adapters change on each domain, in a constant number of queries, as it stood at any moment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.db.models.fields.json import KT

from evaluation import rules
from evaluation.rules.challenges import CHALLENGES
from evaluation.statistics import PackedAnswers
from leaderboard.standing.transfer import (
    BenchmarkChange,
    DomainChange,
    Pair,
    benchmark_change,
    domain_change,
)
from portal.runs import transfer
from portal.runs.models import Evaluation, Score

_EVALUATION = (
    "pk", "submission_id", "base_model_id", "protocol", KT("provenance__precision"), "domain",
    "submission__challenge",
)  # fmt: skip
_OTHERS = len(CHALLENGES) - 1


@dataclass(frozen=True)
class DomainRow:
    """A row of an entry's matrix; `is_home` says that it is its own domain."""

    title: str
    is_home: bool
    change: DomainChange
    benchmarks: tuple[BenchmarkChange, ...]


@dataclass(frozen=True)
class _Measured:
    """An evaluation, and the challenge that it asked about."""

    pk: int
    submission: int
    base_model: int
    protocol: int
    precision: str | None
    challenge: str

    @property
    def conditions(self) -> tuple[object, ...]:
        """What an adapter's and its base model's must share."""
        return self.base_model, self.protocol, self.precision, self.challenge

    def is_as(self, home: _Measured) -> bool:
        return (self.protocol, self.precision) == (home.protocol, home.precision)


@dataclass(frozen=True)
class _Answers:
    """All scored answers to a benchmark, of the data with that digest."""

    digest: str
    packed: PackedAnswers


def changes_of(
    submissions: QuerySet[Any] | Sequence[int], counting: QuerySet[Evaluation], moment: datetime | None = None
) -> dict[int, tuple[DomainChange, ...]]:
    """By submission: its changes on the domains that are known, in the board's order of challenges.

    `counting` are the evaluations that count at home. Who was measured nowhere else is left out.
    """
    return {
        pk: tuple(domain_change(domain, pairs, _OTHERS) for domain, pairs in _domains(found))
        for pk, found in _pairs(submissions, counting, moment).items()
    }


def matrix_of(submission: int, counting: QuerySet[Evaluation]) -> list[DomainRow]:
    """An entry's matrix with its benchmarks; empty where it was measured nowhere else."""
    found = _pairs([submission], counting, None).get(submission, {})
    home = counting.values_list("submission__challenge", flat=True).first()
    return [
        DomainRow(
            CHALLENGES[domain].title,
            domain == home,
            domain_change(domain, list(pairs.values()), _OTHERS),
            tuple(benchmark_change(slug, pair) for slug, pair in pairs.items()),
        )
        for domain, pairs in found.items()
    ]


_Matrix = Mapping[str, Mapping[str, Pair]]
"""By domain and benchmark, in order."""


def _domains(found: _Matrix) -> Iterator[tuple[str, list[Pair]]]:
    return ((domain, list(pairs.values())) for domain, pairs in found.items())


def _pairs(
    submissions: QuerySet[Any] | Sequence[int], counting: QuerySet[Evaluation], moment: datetime | None
) -> dict[int, _Matrix]:
    elsewhere = _read(transfer.of_adapters(submissions), moment)
    if not elsewhere:
        return {}
    measured = {one.submission for one in elsewhere}
    homes = [one for one in _read(counting, moment) if one.submission in measured]
    base = {
        one.conditions: one
        for one in _read(transfer.of_base_models({one.base_model for one in elsewhere}), moment)
    }
    answers = _answers([*elsewhere, *homes, *base.values()])
    at_home = {one.submission: one for one in homes}
    found: dict[int, dict[str, Mapping[str, Pair]]] = defaultdict(dict)
    for one in [*homes, *elsewhere]:
        home, untuned = at_home.get(one.submission), base.get(one.conditions)
        if (
            home is None
            or untuned is None
            or (home.protocol, home.precision) != (one.protocol, one.precision)
        ):
            continue
        benchmarks = rules.of(one.challenge, one.protocol).benchmarks
        if pairs := _paired(answers[one.pk], answers[untuned.pk], benchmarks):
            found[one.submission][one.challenge] = pairs
    return {
        pk: {domain: domains[domain] for domain in CHALLENGES if domain in domains}
        for pk, domains in found.items()
    }


def _read(evaluations: QuerySet[Evaluation], moment: datetime | None) -> list[_Measured]:
    """The newest last."""
    if moment is not None:
        evaluations = evaluations.filter(finished_at__lte=moment)
    rows = Evaluation.objects.filter(pk__in=evaluations.values("pk")).order_by("finished_at", "pk")
    return [
        _Measured(pk, submission, base_model, protocol, precision, domain or challenge)
        for pk, submission, base_model, protocol, precision, domain, challenge in rows.values_list(
            *_EVALUATION
        )
    ]


def _answers(evaluations: Sequence[_Measured]) -> dict[int, dict[str, _Answers]]:
    """By evaluation and benchmark, where every item is scored and the single answers were kept."""
    rows = Score.objects.filter(evaluation__in=[one.pk for one in evaluations], unscored=0)
    found: dict[int, dict[str, _Answers]] = defaultdict(dict)
    for number, slug, n, digest, right, scored in rows.order_by().values_list(
        "evaluation_id", "benchmark", "n", "data_digest", "correct_bits", "scored_bits"
    ):
        if right and scored:
            packed = PackedAnswers.from_bytes(n, bytes(right), bytes(scored))
            found[number][slug] = _Answers(digest, packed)
    return found


def _paired(
    own: Mapping[str, _Answers], base: Mapping[str, _Answers], benchmarks: Sequence[str]
) -> dict[str, Pair]:
    """Empty where a benchmark lacks on one side, or the two were asked other items."""
    pairs = {}
    for slug in benchmarks:
        a, b = own.get(slug), base.get(slug)
        if a is None or b is None or (a.digest, a.packed.items) != (b.digest, b.packed.items):
            return {}
        pairs[slug] = (a.packed, b.packed)
    return pairs
