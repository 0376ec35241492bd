"""The rows and files that the portal's tests start from."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any, BinaryIO, cast

from django.contrib.auth.models import Permission
from django.core.files.base import File
from django.core.files.uploadedfile import SimpleUploadedFile

from evaluation import rules
from evaluation.rules.challenges import CHALLENGES
from evaluation.wire.evaluating import Scored
from portal.accounts.models import User, personal_team
from portal.intake.services import Draft, Files, submit
from portal.review import cases
from portal.review.models import Decision
from portal.review.services import decide
from portal.runs import services as runs
from portal.runs.models import Evaluation
from portal.submissions.models import BaseModel, Submission
from tests.evaluation import adapters

BENCHMARKS = ("fpb", "fiqa", "tfns")


def pyproject(challenge: str = "finance", **replaced: str) -> bytes:
    """A configuration by the challenge's rules that fits `adapter_bytes()`; `replaced` are whole lines."""
    fixed = CHALLENGES[challenge]
    lines = {
        "model": f'model.name = "{adapters.HUB_ID}"',
        "rank": "model.lora.peft-lora-r = 4",
        "alpha": "model.lora.peft-lora-alpha = 8",
        "fraction": "strategy.fraction-train = 0.1",
        "rounds": "num-server-rounds = 8",
        "static": f'[tool.flwr.app.config.static]\ndataset.name = "{fixed.training_sets[0]}"',
        "federation": f"[tool.flwr.federations.local]\noptions.num-supernodes = {fixed.clients}",
    }
    return "\n".join(["[tool.flwr.app.config]", *(lines | replaced).values(), ""]).encode()


PYPROJECT = pyproject()


def user(name: str = "owner", **fields: Any) -> User:
    created = User.objects.create_user(
        username=name, email=f"{name}@example.org", password="correct horse", **fields
    )
    personal_team(created)
    return created


def operator(name: str = "operator") -> User:
    """Staff with an operator's rights that matter on pages: to see what is not public, and to train."""
    made = user(name, is_staff=True)
    rights = ("view_submission", "add_baselinerun", "change_baselinerun")
    made.user_permissions.add(*Permission.objects.filter(codename__in=rights))
    return made


def base_model(hub_id: str = adapters.HUB_ID, **fields: Any) -> BaseModel:
    found = BaseModel.objects.filter(hub_id=hub_id).first()
    return found or BaseModel.objects.create(
        hub_id=hub_id,
        **{"parameters": 1000, "context_length": 512, "tensors": adapters.base_model().to_json(), **fields},
    )


def adapter_bytes(seed: int = 0) -> bytes:
    return adapters.safetensors(adapters.lora_tensors(), {"seed": str(seed)})


def config_bytes(**changes: object) -> bytes:
    return json.dumps(adapters.config_document(**changes)).encode()


def uploads(
    adapter: bytes | None = None, config: bytes | None = None, pyproject: bytes = PYPROJECT
) -> dict[str, SimpleUploadedFile]:
    """The three files as the form and the API name them."""
    return {
        "adapter_model": SimpleUploadedFile(
            "adapter_model.safetensors", adapter_bytes() if adapter is None else adapter
        ),
        "adapter_config": SimpleUploadedFile(
            "adapter_config.json", config_bytes() if config is None else config
        ),
        "pyproject": SimpleUploadedFile("pyproject.toml", pyproject),
    }


def files(pyproject: bytes = PYPROJECT, adapter: bytes | None = None) -> Files:
    """The three files as intake takes them."""
    made = uploads(adapter, pyproject=pyproject)
    weights = made["adapter_model"]
    assert weights.size and weights.file
    return Files(
        cast(BinaryIO, weights.file), weights.size, made["adapter_config"].read(), made["pyproject"].read()
    )


def draft(submitter: User, **changes: Any) -> Draft:
    values: dict[str, Any] = {
        "submitter": submitter,
        "team": personal_team(submitter),
        "challenge": "finance",
        "base_model": base_model(),
        "method": "FedAvg",
        "not_trained_on_test_items": True,
        "files": files(pyproject(changes.get("challenge", "finance"))),
    }
    return Draft(**(values | changes))


def submission(submitter: User, **changes: Any) -> Submission:
    """A submission as it stands after intake: queued, with one evaluation waiting."""
    return submit(draft(submitter, **changes))


def score(benchmark: str, correct: int = 70, n: int = 100, **changes: Any) -> Scored:
    values: dict[str, Any] = {
        "job": "",
        "benchmark": benchmark,
        "value": correct / n,
        "standard_error": 0.01,
        "n": n,
        "correct": correct,
        "unscored": 0,
        "data": "official",
        "data_digest": "sha256:0",
        "available": n,
        "official": True,
        "unofficial_reasons": (),
        "correct_bits": b"",
        "scored_bits": b"",
        "seconds": 1.0,
        "tokens": 100,
        "tokens_per_second": 125.0,
        "energy_joules": None,
        "energy_net_joules": None,
        "energy_method": "",
        "items": f"{benchmark}.jsonl",
    }
    return Scored(**(values | changes))


def evaluated(
    submitter: User, *, correct: int = 70, scores: dict[str, Any] | None = None, **changes: Any
) -> Submission:
    """A submission in review whose scores are `correct` of 100."""
    return evaluate(submission(submitter, **changes), correct=correct, scores=scores)


def evaluate(made: Submission, *, correct: int = 70, scores: dict[str, Any] | None = None) -> Submission:
    """Evaluate the submission that waits longest."""
    evaluation = runs.claim(worker="test")
    assert evaluation and evaluation.submission_id == made.pk
    for benchmark in rules.of(made.challenge, evaluation.protocol).benchmarks:
        runs.record_score(
            evaluation, score(benchmark, correct, **(scores or {})), items=File(BytesIO(b"{}\n"))
        )
    runs.succeed(evaluation, provenance={"precision": "fp32"})
    made.refresh_from_db()
    return made


def tried(submitter: User, **changes: Any) -> Submission:
    """A submission whose smoke run is done: 12 of 20 right on each benchmark."""
    return smoke_run(submission(submitter, smoke_run=True, **changes))


def smoke_run(made: Submission, lines: bytes = b"{}\n") -> Submission:
    """Do the smoke run that waits longest; `lines` are the answers to each benchmark."""
    evaluation = runs.claim(worker="test")
    assert evaluation and evaluation.smoke_run and evaluation.submission_id == made.pk
    for benchmark in rules.of(made.challenge, evaluation.protocol).benchmarks:
        scored = smoke_run_score(benchmark)
        runs.record_score(evaluation, scored, items=File(BytesIO(lines)))
    runs.succeed(evaluation, provenance={})
    made.refresh_from_db()
    return made


def smoke_run_score(benchmark: str, **changes: Any) -> Scored:
    reasons = {"official": False, "unofficial_reasons": ("it was a smoke run",)}
    return score(benchmark, **{"correct": 12, "n": 20, **reasons, **changes})


def evaluate_again(made: Submission, *, correct: int = 70, protocol: int = 1) -> Submission:
    """A new evaluation of a submission, under that protocol."""
    runs.enqueue(made, protocol)
    return evaluate(made, correct=correct)


def published(submitter: User, **changes: Any) -> Submission:
    return publish(evaluated(submitter, **changes))


def publish(made: Submission) -> Submission:
    reviewer = User.objects.filter(is_superuser=True).first() or user(
        "reviewer", is_staff=True, is_superuser=True
    )
    review(made, reviewer, Decision.Action.PUBLISH)
    made.refresh_from_db()
    return made


def review(made: Submission, reviewer: User, action: Decision.Action, **given: Any) -> Decision:
    """The reviewer takes the case and decides."""
    cases.claim(made, reviewer=reviewer)
    return decide(submission=made, reviewer=reviewer, action=action, **given)


def evaluation_of(made: Submission) -> Evaluation:
    evaluation = made.evaluations.first()
    assert evaluation
    return evaluation
