"""Which items invented entries have right, and the files of single answers.

Answers follow a Rasch model: an entry has an ability, made of its base model's and its own, an item a
difficulty, and entries on one base model tend to miss the same items. So entries differ by little more than
chance, as on real boards.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy
from numpy.typing import NDArray

from evaluation import data
from evaluation.benchmarks import BENCHMARKS
from evaluation.rules.protocol import CURRENT
from evaluation.running.score import Item
from evaluation.sandbox import Verdict
from portal.management.seeding.methods import MODELS, Method

# What a wrong program is read as; a right one is its target, `passed`.
_FAILED = Verdict.FAILED.value


class Answers:
    """The items of some benchmarks, and how entries fare on them."""

    def __init__(self, benchmarks: Sequence[str], random: numpy.random.Generator) -> None:
        self._random = random
        self.items = {slug: BENCHMARKS[slug].rows for slug in benchmarks}
        # Difficulties, and how much harder an item is for one base model than for the others.
        self._difficulty = {
            slug: random.normal(0, 1.5, n).astype(numpy.float32) for slug, n in self.items.items()
        }
        self._peculiar = {
            slug: random.normal(0, 1.0, (len(MODELS), n)).astype(numpy.float32)
            for slug, n in self.items.items()
        }

    def abilities(self, methods: Sequence[Method], untuned: Sequence[bool]) -> NDArray[numpy.float32]:
        """What each method makes of its base model; an untuned model has what its size gives it."""
        sizes = numpy.array([method.billions for method in methods])
        own = self._random.normal(0.35, 0.25, len(methods))
        own[list(untuned)] = 0.0
        return (0.55 * numpy.log(sizes) + own).astype(numpy.float32)

    def right(
        self, slug: str, methods: Sequence[Method], abilities: NDArray[numpy.float32]
    ) -> NDArray[numpy.bool_]:
        """Which items each entry has right, shape (entries, items)."""
        models = [method.model for method in methods]
        logit = abilities[:, None] - self._difficulty[slug] - self._peculiar[slug][models]
        drawn = self._random.random(logit.shape, dtype=numpy.float32)
        right: NDArray[numpy.bool_] = drawn * (1 + numpy.exp(-logit)) < 1
        return right


class Questions:
    """Lines of items files for one benchmark: the demonstration's questions, over and over."""

    def __init__(self, slug: str) -> None:
        self._benchmark = BENCHMARKS[slug]

    def file(self, right: NDArray[numpy.bool_]) -> bytes:
        """The items file of an entry that has these items right."""
        return b"".join(self._lines[int(is_right)][place] for place, is_right in enumerate(right.tolist()))

    @cached_property
    def _lines(self) -> tuple[list[bytes], list[bytes]]:
        """Of every item the line of a wrong and of a right answer."""
        return self._answered(correct=False), self._answered(correct=True)

    def _answered(self, *, correct: bool) -> list[bytes]:
        samples = data.load(self._benchmark, data.DEMONSTRATION, CURRENT, None, fetch=False).samples
        lines = []
        for place in range(self._benchmark.rows):
            sample = replace(samples[place % len(samples)], id=place)
            prediction = self._prediction(sample.target, correct=correct)
            completion = prediction if self._benchmark.language is None else "    # invented\n"
            item = Item(self._benchmark.slug, sample, completion, prediction, correct)
            lines.append(json.dumps(item.as_dict(), ensure_ascii=False).encode() + b"\n")
        return lines

    def _prediction(self, target: str, *, correct: bool) -> str:
        if correct:
            return target
        return next((label for label in self._benchmark.labels if label != target), _FAILED)
