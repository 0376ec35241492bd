"""Invented entries on a board, published through the real tables in bulk.

They are written past the services, since nothing was submitted; the database's own rules (constraints,
triggers) all hold.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from numpy.typing import NDArray

from evaluation.benchmarks import BENCHMARKS
from evaluation.rules.challenges import CHALLENGES, Challenge
from evaluation.rules.protocol import CURRENT
from portal.accounts.models import Team, User
from portal.management.seeding.answers import Answers, Questions
from portal.management.seeding.methods import MODELS, RANKS, STRATEGIES, Method
from portal.runs.models import Evaluation, Score
from portal.submissions.invented import ACCOUNT
from portal.submissions.models import BaseModel, Checkpoint, Resource, Submission

TEAM = "Invented group"
TEAMS = 40
REMARK = "Invented by manage.py seed: nothing was trained or evaluated."
# Of models that only invented entries know: those that are registered have shapes.
NO_TENSORS: dict[str, Any] = {"shapes": {}}
BATCH = 500
EVERY = 10
REPEATED = 2
"""So many further runs has one of EVERY entries, if asked for."""
_SEED_SPREAD = 0.05
"""Standard deviation of a run's ability by its seed."""


@dataclass(frozen=True)
class Invented:
    """An entry to be; `number` tells it from others of its board. One that is `like` another is as able,
    but for its seed where it is a further run of that one's method, `repeats`."""

    number: int
    method: Method
    name: str
    kind: Submission.Kind = Submission.Kind.COMMUNITY
    untuned: bool = False
    like: int | None = None
    repeats: bool = False


@dataclass(frozen=True)
class Calendar:
    """When the entries of a board were published: `step` after `step` from the `beginning`."""

    beginning: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    step: timedelta = timedelta(minutes=7)

    def of(self, number: int) -> datetime:
        return self.beginning + number * self.step


def fill(slug: str, count: int, *, seed: int = 0) -> None:
    """Publish `count` entries of a challenge, the first of them the untuned base models.

    Their scores pass for official: for benchmarks and tests, never for a site.
    """
    board = Board(CHALLENGES[slug], seed=seed, data=Score.Data.OFFICIAL)
    for start in range(0, count, BATCH):
        board.publish(board.draw(range(start, min(start + BATCH, count)), untuned=len(MODELS)))


def with_further_runs(entries: Sequence[Invented]) -> list[Invented]:
    """The entries, of which some are runs of the one before that differ in the seed: REPEATED on EVERY."""
    found = list(entries)
    for place in range(EVERY // 2, len(found) - REPEATED, EVERY):
        first = found[place]
        for run in range(place + 1, place + 1 + REPEATED):
            found[run] = replace(first, number=found[run].number, like=first.number, repeats=True)
    return found


def account() -> User:
    """The account that invented entries are submitted by: nobody can sign in to it."""
    user, _ = User.objects.get_or_create(
        username=ACCOUNT, defaults={"password": UNUSABLE_PASSWORD_PREFIX, "is_active": False}
    )
    return user


class Board:
    """One challenge's board, as far as its entries are invented.

    `answered` are the numbers of the entries whose single answers are stored: some megabytes each.
    """

    def __init__(
        self,
        challenge: Challenge,
        *,
        seed: int,
        data: Score.Data = Score.Data.DEMONSTRATION,
        calendar: Calendar | None = None,
        answered: Collection[int] = (),
    ) -> None:
        self.challenge = challenge
        self.calendar = calendar or Calendar()
        self.random = numpy.random.default_rng(seed)
        self.user = account()
        self.models = [_base_model(name, billions) for name, billions in MODELS]
        self.teams = [Team.objects.get_or_create(name=f"{TEAM} {n}")[0] for n in range(1, TEAMS + 1)]
        self._data = data
        self._answered = answered
        self.benchmarks = CURRENT.benchmarks[challenge.slug]
        self._answers = Answers(self.benchmarks, self.random)
        self._questions = {slug: Questions(slug) for slug in self.benchmarks}
        self._abilities: dict[int, float] = {}

    def draw(self, numbers: Iterable[int], *, untuned: int) -> list[Invented]:
        """Entries of these numbers, each with a method of its own; those below `untuned` are base models."""
        drawn = []
        for number in numbers:
            method = self._method(number)
            if number < untuned:
                entry = Invented(number, method, "Untuned", Submission.Kind.REFERENCE, untuned=True)
            else:
                entry = Invented(number, method, f"{method.strategy} run {number}")
            drawn.append(entry)
        return drawn

    def publish(self, entries: Sequence[Invented]) -> list[Submission]:
        """Evaluated, reviewed and published, in the order given."""
        submissions = self._submissions(entries)
        self._resources(submissions, entries)
        evaluations = Evaluation.objects.bulk_create(
            Evaluation(
                submission=submission,
                base_model_id=submission.base_model_id,
                checkpoint_id=submission.checkpoint_id,
                protocol=CURRENT.number,
                status=Evaluation.Status.RUNNING,
                claim_id=uuid.uuid4(),
                lease_expires_at=self.calendar.beginning,
                provenance={
                    "precision": CURRENT.precisions[self.challenge.slug],
                    "engine": {"name": "none, invented"},
                },
            )
            for submission in submissions
        )
        self._score(evaluations, entries)
        Evaluation.objects.filter(pk__in=[evaluation.pk for evaluation in evaluations]).update(
            status=Evaluation.Status.SUCCEEDED,
            claim_id=None,
            lease_expires_at=None,
            finished_at=self.calendar.beginning,
        )
        return submissions

    def _submissions(self, entries: Sequence[Invented]) -> list[Submission]:
        """First runs before those that name them, which are of the same call."""
        checkpoints = self._checkpoints(entries)
        found: dict[int, Submission] = {}
        for further in (False, True):
            now = [entry for entry in entries if entry.repeats is further]
            made = [self._submission(entry, checkpoints.get(entry.number), found) for entry in now]
            created = Submission.objects.bulk_create(made)
            found |= {entry.number: one for entry, one in zip(now, created, strict=True)}
        return [found[entry.number] for entry in entries]

    def _method(self, number: int) -> Method:
        random = self.random
        return Method(
            model=number % len(MODELS) if number < len(MODELS) else int(random.integers(len(MODELS))),
            strategy=STRATEGIES[int(random.integers(len(STRATEGIES)))],
            rank=RANKS[int(random.integers(len(RANKS)))],
            dora=bool(random.random() < 0.3),
            rounds=int(random.choice([10, 15, 50, 100, 200])),
            per_round=int(random.integers(2, 1 + max(2, self.challenge.clients // 4))),
        )

    def _checkpoints(self, entries: Sequence[Invented]) -> dict[int, Checkpoint]:
        """By number an adapter for every entry but the untuned; the files themselves nobody opens."""
        tuned = [entry for entry in entries if not entry.untuned]
        made = Checkpoint.objects.bulk_create(self._checkpoint(entry) for entry in tuned)
        return {entry.number: checkpoint for entry, checkpoint in zip(tuned, made, strict=True)}

    def _checkpoint(self, entry: Invented) -> Checkpoint:
        digest = hashlib.sha256(f"invented {self.challenge.slug} {entry.number}".encode()).hexdigest()
        return Checkpoint(
            sha256=digest,
            config_sha256=digest,
            tensors_digest=digest,
            size=round(4 * entry.method.trained),
            adapter_config=entry.method.adapter_config(),
            summary={},
            file=f"checkpoints/{digest}.safetensors",
        )

    def _submission(
        self, entry: Invented, checkpoint: Checkpoint | None, firsts: Mapping[int, Submission]
    ) -> Submission:
        published = self.calendar.of(entry.number)
        first = firsts[entry.like] if entry.repeats and entry.like is not None else None
        return Submission(
            team=first.team if first else self.teams[entry.number % len(self.teams)],
            repeats=first,
            submitter=self.user,
            challenge=self.challenge.slug,
            kind=entry.kind,
            method=entry.name,
            description=REMARK,
            base_model=self.models[entry.method.model],
            checkpoint=checkpoint,
            method_card=None if entry.untuned else entry.method.card(self.challenge),
            status=Submission.Status.PUBLISHED,
            sent_at=published,
            published_at=published,
            status_changed_at=published,
        )

    def _resources(self, submissions: Sequence[Submission], entries: Sequence[Invented]) -> None:
        """All but what is derived may be left unsaid."""
        tuned = [pair for pair in zip(submissions, entries, strict=True) if not pair[1].untuned]
        Resource.objects.bulk_create(
            Resource(submission=submission, kind=kind, basis=basis, value=value)
            for submission, entry in tuned
            for (kind, basis), value in (
                entry.method.derived() | (entry.method.declared() if self.random.random() < 0.8 else {})
            ).items()
        )

    def _score(self, evaluations: Sequence[Evaluation], entries: Sequence[Invented]) -> None:
        methods = [entry.method for entry in entries]
        abilities = self._answers.abilities(methods, [entry.untuned for entry in entries])
        for place, entry in enumerate(entries):
            if entry.like is not None:
                abilities[place] = self._abilities[entry.like]
            if entry.repeats:
                abilities[place] += self.random.normal(0, _SEED_SPREAD)
            self._abilities[entry.number] = float(abilities[place])
        self.answer(evaluations, methods, abilities, entries)

    def base_abilities(self, methods: Sequence[Method]) -> NDArray[numpy.float32]:
        """Of the base models of methods, as they are."""
        return self._answers.abilities(methods, [True] * len(methods))

    def answer(
        self,
        evaluations: Sequence[Evaluation],
        methods: Sequence[Method],
        abilities: NDArray[numpy.float32],
        entries: Sequence[Invented] = (),
    ) -> None:
        """Store the scores of running evaluations on this board's benchmarks, with single answers of those of
        `entries` that have them."""
        for slug in self.benchmarks:
            right = self._answers.right(slug, methods, abilities)
            names = [""] * len(evaluations)
            for place, entry in enumerate(entries):
                names[place] = self._items(slug, evaluations[place], entry, right[place])
            Score.objects.bulk_create(self._scores(slug, evaluations, right, names))

    def _items(self, slug: str, evaluation: Evaluation, entry: Invented, right: NDArray[numpy.bool_]) -> str:
        """The name of the stored answers, "" where they are not kept."""
        if entry.number not in self._answered:
            return ""
        content = ContentFile(self._questions[slug].file(right))
        return default_storage.save(f"evaluations/{evaluation.pk}/{slug}.jsonl", content)

    def _scores(
        self,
        slug: str,
        evaluations: Sequence[Evaluation],
        right: NDArray[numpy.bool_],
        items: Sequence[str],
    ) -> Iterator[Score]:
        n = BENCHMARKS[slug].rows
        official = self._data is Score.Data.OFFICIAL
        scored = numpy.packbits(numpy.ones(n, bool)).tobytes()
        for evaluation, bits, correct, name in zip(
            evaluations, numpy.packbits(right, axis=1), right.sum(1).tolist(), items, strict=True
        ):
            p = correct / n
            yield Score(
                evaluation=evaluation,
                benchmark=slug,
                value=p,
                standard_error=(p * (1 - p) / n) ** 0.5,
                n=n,
                correct=correct,
                unscored=0,
                data=self._data,
                data_digest=(official and BENCHMARKS[slug].digest) or "invented",
                available=n,
                official=official,
                unofficial_reasons=[] if official else [REMARK],
                correct_bits=bits.tobytes(),
                scored_bits=scored,
                items=name,
                items_bytes=default_storage.size(name) if name else None,
                seconds=60.0,
                tokens=n,
                tokens_per_second=n / 60.0,
            )


def _base_model(hub_id: str, billions: float) -> BaseModel:
    """The listed model of this name, else one that takes no submissions."""
    return BaseModel.objects.get_or_create(
        hub_id=hub_id,
        defaults={
            "parameters": round(billions * 1e9),
            "context_length": 4096,
            "tensors": NO_TENSORS,
            "licence": "apache-2.0",
            "active": False,
        },
    )[0]
