"""What a case resembles, among thousands of stored adapters of 7 MB and their wrong answers.

DUPLICATES_AMONG sets how many. Each of them is made, written as a file in memory and sketched; only those
that copies are made of are stored as files too, as a search reads no others. Every copy must be found for
what it is, and an independent adapter like nobody.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import time
import tracemalloc
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import numpy
from django.core.files.base import ContentFile
from django.utils import timezone

from evaluation import rules
from evaluation.resemblance.sketches import VERSION
from portal.accounts.models import User, personal_team
from portal.review.resemblance.adapters import keep_sketch
from portal.review.resemblance.report import Likeness, Report
from portal.review.resemblance.search import search
from portal.runs.models import Evaluation, Score, WrongAnswers
from portal.submissions.models import AdapterSketch, BaseModel, Checkpoint, Submission
from tests.evaluation.made_updates import (
    Update,
    averaged,
    cut,
    file_of,
    made,
    merged,
    noised,
    scaled,
    sketch_of_made,
)
from tests.perf.measure import Comparison

ADAPTERS = int(os.environ.get("DUPLICATES_AMONG", "2000"))
LIMIT = 10.0
SHAPES = {"q_proj": (2048, 2048), "v_proj": (512, 2048)}
LAYERS, RANK, ALPHA, ITEMS = 16, 16, 32, 1_000
# Seeds of the stored files; all others are independent of them.
ONE, OTHER, THIRD = 1, 2, 3
_FIRST_OF_MANY = 1_000


def large(seed: int) -> Update:
    return made(seed, layers=LAYERS, rank=RANK, shapes=SHAPES)


CASES: dict[str, tuple[Callable[[], Update], dict[int, Likeness]]] = {
    "scaled by 3": (lambda: scaled(large(ONE), 3), {ONE: Likeness.UPDATE}),
    "with 5% noise": (lambda: noised(large(ONE), 0.05), {ONE: Likeness.NEAR}),
    "with 50% noise": (lambda: noised(large(ONE), 0.5), {ONE: Likeness.RELATED}),
    "merged from two": (
        lambda: merged([(0.5, large(ONE)), (0.5, large(OTHER))]),
        {ONE: Likeness.PART, OTHER: Likeness.PART},
    ),
    "factors averaged": (
        lambda: averaged(large(ONE), large(OTHER)),
        {ONE: Likeness.PART, OTHER: Likeness.PART},
    ),
    "ranks cut to 4": (lambda: cut(large(THIRD), 4), {THIRD: Likeness.RANKS}),
    "independent": (lambda: large(4), {}),
}


def compare() -> Iterator[Comparison]:
    from django.test.runner import DiscoverRunner

    runner = DiscoverRunner(verbosity=0, interactive=False)
    databases: Any = runner.setup_databases()
    try:
        yield from _cases()
    finally:
        runner.teardown_databases(databases)


def _cases() -> Iterator[Comparison]:
    user = User.objects.create_user(username="owner", email="owner@example.org")
    personal_team(user)
    site = _Site(user)
    stored = {seed: site.submitted(large(seed)).pk for seed in (ONE, OTHER, THIRD)}
    peaks: dict[int, float] = {}
    began = time.perf_counter()
    for many in (ADAPTERS // 10, ADAPTERS):
        site.fill(many)
        probe = site.submitted(scaled(large(ONE), 5 + len(peaks)))
        _forget_sketch(probe)
        tracemalloc.start()
        search(probe)
        peaks[many] = tracemalloc.get_traced_memory()[1] / 1024**2
        tracemalloc.stop()
        _forget_sketch(probe)  # the cases are not to be like it
    filled = time.perf_counter() - began
    memory = ", ".join(f"{peak:.0f} MiB among {many:,}" for many, peak in peaks.items())
    for name, (make, expected) in CASES.items():
        case = site.submitted(make(), near=stored[ONE])
        _forget_sketch(case)  # which the search makes then, as for one that just came
        start = time.perf_counter()
        report = search(case)
        seconds = time.perf_counter() - start
        _check(name, report, {stored[seed]: likeness for seed, likeness in expected.items()})
        note = f"{report.adapters:,} adapters, {report.entries:,} entries; peak {memory}"
        _forget_sketch(case)
        yield Comparison(f"a case, {name}", seconds, "the aim", LIMIT, note)
    yield Comparison(f"making and sketching {ADAPTERS:,}", filled, "the aim for a case", LIMIT)


def _forget_sketch(of: Submission) -> None:
    AdapterSketch.objects.filter(checkpoint=of.checkpoint_id).delete()


def _check(name: str, report: Report, expected: dict[int, Likeness]) -> None:
    found = {each.submission: each.likeness for each in report.found if each.likeness != Likeness.ANSWERS}
    assert found == expected, (name, found, expected)
    assert bool(report.merge) == (Likeness.PART in expected.values()), (name, report.merge)


class _Site:
    """The rows of a site with many adapters, each evaluated."""

    def __init__(self, user: User) -> None:
        self._user = user
        self._base = BaseModel.objects.create(
            hub_id="Example/Base", parameters=1_000, context_length=512, tensors={}
        )
        self._count = 0
        self._sketched = partial(sketch_of_made, layers=LAYERS, rank=RANK, shapes=SHAPES, scale=ALPHA / RANK)
        self._benchmarks = rules.of("finance", 1).benchmarks
        self._tempting = numpy.random.default_rng(0).integers(1, 3, ITEMS)

    def fill(self, many: int) -> None:
        """Independent adapters until there are so many."""
        seeds = range(_FIRST_OF_MANY + self._count, _FIRST_OF_MANY + many)
        with ProcessPoolExecutor(4, multiprocessing.get_context("spawn")) as processes:
            sketches = list(processes.map(self._sketched, seeds, chunksize=20))
        checkpoints = Checkpoint.objects.bulk_create(
            self._checkpoint(f"made {seed}", large) for seed in seeds
        )
        AdapterSketch.objects.bulk_create(
            AdapterSketch(checkpoint=checkpoint, version=VERSION, content=content)
            for checkpoint, content in zip(checkpoints, sketches, strict=True)
        )
        self._evaluated([self._submission(checkpoint) for checkpoint in checkpoints])
        self._count = many

    def submitted(self, update: Update, near: int | None = None) -> Submission:
        """One whose file is stored; its mistakes are mostly those of the submission that it is near to."""
        content = file_of(update)
        rank = len(next(iter(update.values()))[0])
        checkpoint = self._checkpoint(hashlib.sha256(content).hexdigest(), update, rank)
        checkpoint.size = len(content)
        checkpoint.file.save(f"{checkpoint.sha256}.safetensors", ContentFile(content), save=False)
        checkpoint.save()
        keep_sketch(checkpoint)
        self._evaluated([self._submission(checkpoint)], near)
        return Submission.objects.get(checkpoint=checkpoint)

    def _checkpoint(self, name: str, update: Any, rank: int = RANK) -> Checkpoint:
        digest = hashlib.sha256(name.encode()).hexdigest()
        modules = [] if callable(update) else list(update)
        return Checkpoint(
            sha256=digest,
            config_sha256=digest,
            tensors_digest=digest,
            size=7_000_000,
            adapter_config={"lora_alpha": ALPHA, "use_rslora": False},
            summary={"modules": [{"name": each, "rank": rank, "alpha": ALPHA} for each in modules]},
        )

    def _submission(self, checkpoint: Checkpoint) -> Submission:
        return Submission(
            team=personal_team(self._user),
            submitter=self._user,
            challenge="finance",
            method=f"Method {checkpoint.pk}",
            base_model=self._base,
            checkpoint=checkpoint,
            status=Submission.Status.IN_REVIEW,
            sent_at=timezone.now(),
        )

    def _evaluated(self, submissions: list[Submission], near: int | None = None) -> None:
        now = timezone.now()
        submissions = Submission.objects.bulk_create(submissions)
        running = Evaluation.Status.RUNNING
        evaluations = Evaluation.objects.bulk_create(
            Evaluation(
                submission=submission, base_model=self._base, checkpoint=submission.checkpoint, protocol=1,
                status=running, claim_id=uuid.uuid4(), lease_expires_at=now + timedelta(hours=1),
            )
            for submission in submissions
        )  # fmt: skip
        scores = Score.objects.bulk_create(
            Score(
                evaluation=evaluation, benchmark=benchmark, value=0.5, standard_error=0.01, n=ITEMS,
                correct=500, unscored=0, data="official", data_digest="sha256:0", available=ITEMS,
                official=True, correct_bits=b"", scored_bits=b"", seconds=1.0, tokens=1,
            )
            for evaluation in evaluations
            for benchmark in self._benchmarks
        )  # fmt: skip
        WrongAnswers.objects.bulk_create(
            WrongAnswers(score=score, codes=self._mistakes(score, near)) for score in scores
        )
        Evaluation.objects.filter(pk__in=[each.pk for each in evaluations]).update(
            status=Evaluation.Status.SUCCEEDED, claim_id=None, lease_expires_at=None, finished_at=now
        )

    def _mistakes(self, score: Score, near: int | None) -> bytes:
        """Half of the items wrong, half of these as it tempts everybody."""
        rng = numpy.random.default_rng(score.pk)
        codes = numpy.where(rng.random(ITEMS) < 0.5, self._tempting, rng.integers(1, 3, ITEMS))
        codes[rng.random(ITEMS) < 0.5] = 0
        if near is not None:
            kept = WrongAnswers.objects.get(
                score__benchmark=score.benchmark, score__evaluation__submission=near
            ).codes
            codes = numpy.where(rng.random(ITEMS) < 0.8, numpy.frombuffer(kept, "<u2"), codes)
        return codes.astype("<u2").tobytes()
