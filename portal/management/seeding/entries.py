"""Fills a board with realistic entries through the real tables, for benchmarks and tests.

Answers follow a Rasch model: an entry has an ability, made of its base model's and its own, an item a
difficulty, and entries on one base model tend to miss the same items. So entries differ by little more than
chance, as on real boards, and costs go with size and rounds.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from numpy.typing import NDArray

from evaluation.benchmarks import BENCHMARKS
from evaluation.rules.challenges import CHALLENGES, Challenge
from evaluation.rules.protocol import CURRENT
from portal.accounts.models import Team, User
from portal.runs.models import Evaluation, Score
from portal.submissions.models import BaseModel, Checkpoint, Resource, Submission

BATCH = 500
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
STRATEGIES = ("fedavg", "fedprox", "fedadam", "fedavgm", "flexlora")
RANKS = (8, 16, 32, 64)
# Public models of several families and sizes.
MODELS = (
    ("HuggingFaceTB/SmolLM2-135M-Instruct", 0.135), ("HuggingFaceTB/SmolLM2-1.7B-Instruct", 1.7),
    ("Qwen/Qwen2.5-0.5B-Instruct", 0.5), ("Qwen/Qwen2.5-1.5B-Instruct", 1.5),
    ("Qwen/Qwen2.5-7B-Instruct", 7.6),
    ("meta-llama/Llama-3.2-1B-Instruct", 1.2), ("meta-llama/Llama-3.2-3B-Instruct", 3.2),
    ("meta-llama/Llama-3.1-8B-Instruct", 8.0), ("google/gemma-2-2b-it", 2.6), ("google/gemma-2-9b-it", 9.2),
    ("mistralai/Mistral-7B-v0.3", 7.2), ("internlm/internlm3-8b-instruct", 8.8),
)  # fmt: skip


@dataclass(frozen=True)
class _Method:
    """What an entry did: figures in the units of method cards and resources."""

    model: int
    strategy: str
    rank: int
    dora: bool
    rounds: int
    per_round: int

    def card(self, challenge: Challenge) -> dict[str, Any]:
        from evaluation.method.card import MethodCard

        card = MethodCard(
            base_model=MODELS[self.model][0],
            static_dataset=challenge.training_sets[0],
            strategy=self.strategy,
            clients=challenge.clients,
            clients_per_round=self.per_round,
            rounds=self.rounds,
            local_steps=10,
            peft_type="LoRA",
            use_dora=self.dora,
            rank=self.rank,
            alpha=2.0 * self.rank,
        )
        return card.to_json()

    def resources(self, declares: bool) -> dict[tuple[str, str], float]:
        """By kind and basis. All but what is derived may be left unsaid."""
        kind, basis = Resource.Kind, Resource.Basis
        billions = MODELS[self.model][1]
        trained = 4e5 * self.rank * billions**0.6
        way = 4 * trained * self.rounds * self.per_round
        known = {
            (kind.COMMUNICATION_UP, basis.DERIVED): way,
            (kind.COMMUNICATION_DOWN, basis.DERIVED): way,
            (kind.TRAINABLE_PARAMETERS, basis.DERIVED): trained,
        }
        if declares:
            hours = 0.02 * billions * self.rounds * self.per_round / 10
            known |= {
                (kind.CLIENT_VRAM, basis.DECLARED): (1.5 + 1.6 * billions) * 1024**3,
                (kind.SERVER_VRAM, basis.DECLARED): (0.5 + 0.1 * billions) * 1024**3,
                (kind.GPU_TIME, basis.DECLARED): 3600 * hours,
                (kind.WALL_TIME, basis.DECLARED): 3600 * hours / self.per_round,
            }
        return {(str(k), str(b)): value for (k, b), value in known.items()}


def fill(slug: str, count: int, *, seed: int = 0) -> None:
    """Publish `count` entries of a challenge, the first of them the untuned base models.

    Written past the services, in bulk: the database's own rules (triggers, constraints) all hold.
    """
    challenge = CHALLENGES[slug]
    random = numpy.random.default_rng(seed)
    board = _Board(challenge, random)
    for start in range(0, count, BATCH):
        board.publish(range(start, min(start + BATCH, count)))


class _Board:
    def __init__(self, challenge: Challenge, random: numpy.random.Generator) -> None:
        self.challenge = challenge
        self.random = random
        self.models = [
            BaseModel.objects.get_or_create(
                hub_id=name,
                defaults={
                    "parameters": round(billions * 1e9),
                    "context_length": 4096,
                    "tensors": {"shapes": {}},
                    "licence": "apache-2.0",
                },
            )[0]
            for name, billions in MODELS
        ]
        self.teams = [Team.objects.get_or_create(name=f"Group {n}")[0] for n in range(1, 41)]
        self.user, _ = User.objects.get_or_create(
            username="generator", defaults={"password": UNUSABLE_PASSWORD_PREFIX, "is_active": False}
        )
        self.items = {slug: BENCHMARKS[slug].rows for slug in challenge.benchmarks}
        # Difficulties, and how much harder an item is for one base model than for the others.
        self.difficulty = {
            slug: random.normal(0, 1.5, n).astype(numpy.float32) for slug, n in self.items.items()
        }
        self.peculiar = {
            slug: random.normal(0, 1.0, (len(MODELS), n)).astype(numpy.float32)
            for slug, n in self.items.items()
        }

    def publish(self, numbers: range) -> None:
        methods = [self._method(number) for number in numbers]
        checkpoints = self._checkpoints(numbers)
        submissions = Submission.objects.bulk_create(
            self._submission(number, method, checkpoints.get(number))
            for number, method in zip(numbers, methods, strict=True)
        )
        self._resources(submissions, methods)
        now = BEGINNING
        evaluations = Evaluation.objects.bulk_create(
            Evaluation(
                submission=submission,
                base_model_id=submission.base_model_id,
                checkpoint_id=submission.checkpoint_id,
                protocol=CURRENT.number,
                status=Evaluation.Status.RUNNING,
                claim_id=uuid.uuid4(),
                lease_expires_at=now,
                provenance={"precision": CURRENT.precisions[self.challenge.slug]},
            )
            for submission in submissions
        )
        ability = self._abilities(numbers, methods)
        for slug in self.challenge.benchmarks:
            right = self._right(slug, methods, ability)
            Score.objects.bulk_create(self._scores(slug, evaluations, right))
        Evaluation.objects.filter(pk__in=[evaluation.pk for evaluation in evaluations]).update(
            status=Evaluation.Status.SUCCEEDED, claim_id=None, lease_expires_at=None, finished_at=now
        )

    def _method(self, number: int) -> _Method:
        random = self.random
        return _Method(
            model=number % len(MODELS) if number < len(MODELS) else int(random.integers(len(MODELS))),
            strategy=STRATEGIES[int(random.integers(len(STRATEGIES)))],
            rank=RANKS[int(random.integers(len(RANKS)))],
            dora=bool(random.random() < 0.3),
            rounds=int(random.choice([10, 15, 50, 100, 200])),
            per_round=int(random.integers(2, 1 + max(2, self.challenge.clients // 4))),
        )

    def _checkpoints(self, numbers: range) -> dict[int, Checkpoint]:
        """An adapter for every entry but the untuned; the files themselves nobody opens."""
        tuned = [number for number in numbers if number >= len(MODELS)]
        digests = [hashlib.sha256(f"{self.challenge.slug} {number}".encode()).hexdigest() for number in tuned]
        made = Checkpoint.objects.bulk_create(
            Checkpoint(
                sha256=digest,
                config_sha256=digest,
                tensors_digest=digest,
                size=1024,
                adapter_config={},
                summary={},
                file=f"checkpoints/{digest}.safetensors",
            )
            for digest in digests
        )
        return dict(zip(tuned, made, strict=True))

    def _submission(self, number: int, method: _Method, checkpoint: Checkpoint | None) -> Submission:
        is_base = checkpoint is None
        published = BEGINNING + timedelta(minutes=7 * number)
        return Submission(
            team=self.teams[number % len(self.teams)],
            submitter=self.user,
            challenge=self.challenge.slug,
            kind=Submission.Kind.REFERENCE if is_base else Submission.Kind.COMMUNITY,
            method="Untuned" if is_base else f"{method.strategy} run {number}",
            base_model=self.models[method.model],
            checkpoint=checkpoint,
            method_card=None if is_base else method.card(self.challenge),
            status=Submission.Status.PUBLISHED,
            published_at=published,
            status_changed_at=published,
        )

    def _resources(self, submissions: list[Submission], methods: list[_Method]) -> None:
        tuned = [pair for pair in zip(submissions, methods, strict=True) if pair[0].method_card]
        Resource.objects.bulk_create(
            Resource(submission=submission, kind=kind, basis=basis, value=value)
            for submission, method in tuned
            for (kind, basis), value in method.resources(self.random.random() < 0.8).items()
        )

    def _abilities(self, numbers: range, methods: list[_Method]) -> NDArray[numpy.float32]:
        sizes = numpy.array([MODELS[method.model][1] for method in methods])
        own = self.random.normal(0.35, 0.25, len(methods))
        own[[number < len(MODELS) for number in numbers]] = 0.0
        return (0.55 * numpy.log(sizes) + own).astype(numpy.float32)

    def _right(
        self, slug: str, methods: list[_Method], ability: NDArray[numpy.float32]
    ) -> NDArray[numpy.bool_]:
        """Which items each entry has right, shape (entries, items)."""
        models = [method.model for method in methods]
        logit = ability[:, None] - self.difficulty[slug] - self.peculiar[slug][models]
        drawn = self.random.random(logit.shape, dtype=numpy.float32)
        right: NDArray[numpy.bool_] = drawn * (1 + numpy.exp(-logit)) < 1
        return right

    def _scores(
        self, slug: str, evaluations: list[Evaluation], right: NDArray[numpy.bool_]
    ) -> Iterator[Score]:
        n = self.items[slug]
        scored = numpy.packbits(numpy.ones(n, bool)).tobytes()
        for evaluation, bits, correct in zip(
            evaluations, numpy.packbits(right, axis=1), right.sum(1).tolist(), strict=True
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
                data=Score.Data.OFFICIAL,
                data_digest=BENCHMARKS[slug].digest or "sha256:0",
                available=n,
                official=True,
                correct_bits=bits.tobytes(),
                scored_bits=scored,
                seconds=60.0,
                tokens=n,
            )
