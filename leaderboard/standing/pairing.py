"""Paired tests of entries on the items that both answered: what may be said, and where nothing may. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from evaluation.statistics import (
    Discordance,
    Interval,
    PackedAnswers,
    differences,
    discordance,
    holm,
    mcnemar_exact,
    mean_difference,
    paired_interval,
    randomisation_test,
)
from evaluation.statistics.seeds import Run, difference_over_seeds

LEVEL = 0.05


@dataclass(frozen=True)
class Answered:
    """An entry's answers to one benchmark, with all that must be alike for a pair; `score` is where they are.

    `packed` is None where the single answers were not kept; `repeats` are those of further runs.
    """

    score: int
    protocol: int
    precision: str
    digest: str
    available: int
    items: int
    packed: PackedAnswers | None
    repeats: tuple[PackedAnswers, ...] = ()

    @property
    def runs(self) -> list[PackedAnswers]:
        return [answers for answers in (self.packed, *self.repeats) if answers]


@dataclass(frozen=True)
class PairedTest:
    """One comparison, `a` less `b`. Where it is refused there are no figures.

    `pairs` is None for the average over benchmarks, and where one is a mean over runs. `p_holm` is corrected
    for all tests of its kind that stand beside it.
    """

    refusal: str = ""
    pairs: Discordance | None = None
    difference: float = 0.0
    interval: Interval = (0.0, 0.0)
    p_value: float = 1.0
    p_holm: float = 1.0

    @property
    def verdict(self) -> str:
        """What the test shows of `a`."""
        if self.refusal:
            return "not comparable"
        if self.p_holm > LEVEL:
            return "no difference shown"
        return "better" if self.difference > 0 else "worse"


@dataclass(frozen=True)
class Pairing:
    """Two entries on each benchmark, by slug in the challenge's order, and on the average of all."""

    a: int
    b: int
    benchmarks: Mapping[str, PairedTest]
    average: PairedTest


Answers = Mapping[str, Answered]
"""An entry's answers by benchmark."""


def pairings(
    first: int, others: Sequence[int], answers: Mapping[int, Answers], benchmarks: Sequence[str]
) -> list[Pairing]:
    """The first entry against each other one, `p_holm` corrected over everything that is tested here."""
    found = [_pairing(first, other, answers, benchmarks) for other in others]
    tests = [
        (pairing, slug) for pairing in found for slug in benchmarks if not pairing.benchmarks[slug].refusal
    ]
    corrected = holm([pairing.benchmarks[slug].p_value for pairing, slug in tests])
    by_test = {(pairing.b, slug): p for (pairing, slug), p in zip(tests, corrected, strict=True)}
    whole = [pairing for pairing in found if not pairing.average.refusal]
    of_averages = dict(zip([p.b for p in whole], holm([p.average.p_value for p in whole]), strict=True))
    return [
        replace(
            pairing,
            benchmarks={
                slug: replace(test, p_holm=by_test.get((pairing.b, slug), 1.0))
                for slug, test in pairing.benchmarks.items()
            },
            average=replace(pairing.average, p_holm=of_averages.get(pairing.b, 1.0)),
        )
        for pairing in found
    ]


def refusal(a: Answered | None, b: Answered | None) -> str:
    """Why two sets of answers can't be paired, in a sentence; "" where they can."""
    if a is None or b is None:
        return "One of them was not evaluated on it."
    if a.protocol != b.protocol:
        return f"The protocols differ: {a.protocol} and {b.protocol}."
    if (a.digest, a.available) != (b.digest, b.available):
        return (
            f"The data differ: digest {a.digest[:12]} of {a.available:,} items, {b.digest[:12]} of "
            f"{b.available:,}."
        )
    if a.items != b.items:
        return f"Not the same items were asked: {a.items:,} and {b.items:,} of {a.available:,}."
    if a.packed is None or b.packed is None:
        return "The single answers of one of them were not kept."
    if not a.packed.scored & b.packed.scored:
        return "No item is scored in both."
    return ""


def disagreements(answers: Sequence[PackedAnswers]) -> list[int]:
    """Positions of the items that all have scored and not all have right or wrong alike."""
    items = answers[0].items
    scored = right = (1 << items) - 1
    any_right = 0
    for one in answers:
        scored &= one.scored
        right &= one.right
        any_right |= one.right
    apart = scored & any_right & ~right
    # As text: a bit by shifting would copy the whole number for each of thousands of items.
    return [position for position, bit in enumerate(f"{apart:0{items}b}") if bit == "1"]


def _pairing(first: int, other: int, answers: Mapping[int, Answers], benchmarks: Sequence[str]) -> Pairing:
    tests = {slug: _test(answers[first].get(slug), answers[other].get(slug)) for slug in benchmarks}
    return Pairing(first, other, tests, _average(answers[first], answers[other], tests))


def _test(a: Answered | None, b: Answered | None) -> PairedTest:
    if reason := refusal(a, b):
        return PairedTest(reason)
    assert a and b and a.packed and b.packed
    if a.repeats or b.repeats:
        return _over_seeds([[answers] for answers in a.runs], [[answers] for answers in b.runs])
    pairs = discordance(a.packed, b.packed)
    return PairedTest(
        pairs=pairs,
        difference=pairs.difference,
        interval=paired_interval([differences(pairs)]),
        p_value=mcnemar_exact(pairs.only_a, pairs.only_b),
    )


def _over_seeds(a: Sequence[Run], b: Sequence[Run]) -> PairedTest:
    if not all(answers.complete for run in (*a, *b) for answers in run):
        return PairedTest("An item of one run has no score.")
    found = difference_over_seeds(a, b)
    return PairedTest(difference=found.value, interval=found.interval(), p_value=found.p_value)


def _average(a: Answers, b: Answers, tests: Mapping[str, PairedTest]) -> PairedTest:
    if any(test.refusal for test in tests.values()):
        return PairedTest("Some benchmark can't be paired.")
    if any(answered.repeats for slug in tests for answered in (a[slug], b[slug])):
        runs = [list(zip(*(one[slug].runs for slug in tests), strict=True)) for one in (a, b)]
        return _over_seeds(*runs)
    strata = [differences(test.pairs) for test in tests.values() if test.pairs]
    return PairedTest(
        difference=mean_difference(strata),
        interval=paired_interval(strata),
        p_value=randomisation_test(strata),
    )
