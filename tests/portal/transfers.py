"""Evaluations beside the boards, done: every queued one, with so many right of 100 items a benchmark."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import numpy
from django.core.files.base import File

from evaluation import rules
from portal.runs import services as runs
from portal.runs.models import Evaluation
from tests.portal import factories

N = 100


def bits(correct: int, n: int = N) -> bytes:
    return numpy.packbits(numpy.arange(n) < correct).tobytes()


def measure_all(correct: Callable[[Evaluation], int], **worker: object) -> list[Evaluation]:
    """Do what waits, in its order, `correct` of N right on each benchmark."""
    done = []
    while evaluation := runs.claim(worker="test", **worker):  # type: ignore[arg-type]
        measure(evaluation, correct(evaluation))
        done.append(evaluation)
    return done


def measure(evaluation: Evaluation, correct: int) -> None:
    for benchmark in rules.of(evaluation.challenge, evaluation.protocol).benchmarks:
        scored = factories.score(benchmark, correct, N, correct_bits=bits(correct), scored_bits=bits(N))
        runs.record_score(evaluation, scored, items=File(BytesIO(b"{}\n")))
    runs.succeed(evaluation, provenance={"precision": rules.of(evaluation.submission.challenge).precision})
