"""Fills a site with its demonstration: a base model, accounts, and reference entries made for real.

Every step looks first whether its result is there, so that a second run continues an interrupted one.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from django.conf import settings
from django.contrib.auth.models import Permission
from django.core.management.base import CommandError

from evaluation import rules
from evaluation.benchmarks import BENCHMARKS
from evaluation.demonstration.installed_model import FOLDER, HUB_ID, LICENCE
from evaluation.errors import SandboxError
from evaluation.parent import end_with_parent
from evaluation.rules.challenges import CHALLENGES, Challenge
from evaluation.rules.protocol import CURRENT
from evaluation.running.judging import check_sandbox
from portal.accounts.models import ApiToken, Membership, Team, User, personal_team
from portal.baselines.services import TEAM
from portal.demonstration import progress
from portal.demonstration.contents import BOARD, FEDAVG, TRAINING, UNTUNED
from portal.demonstration.progress import Progress
from portal.intake.board_import import PUBLIC_BOARD, import_rows, read_board
from portal.review import cases
from portal.review.models import Decision
from portal.review.services import decide
from portal.runs.models import BaselineRun
from portal.submissions.base_models import register_base_model
from portal.submissions.models import BaseModel, Submission

Say = Callable[[str], None]


class BaseModelBuild:
    """The building of the base model, in a process of its own beside the start of the site.

    Use as a context manager: leaving it ends the process, and the next start begins anew.
    """

    def __init__(self) -> None:
        self._folder = Path(settings.VAR_DIR) / "models" / FOLDER
        self._log = Path(settings.VAR_DIR) / "logs" / "base-model.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> BaseModelBuild:
        if not (self._folder / "config.json").exists():
            self._log.parent.mkdir(parents=True, exist_ok=True)
            with self._log.open("wb") as output:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "evaluation.demonstration.base_model", str(self._folder)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=end_with_parent,
                )
        return self

    def __exit__(self, *_: object) -> None:
        if self._process and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def register(self, check: Callable[[], None]) -> None:
        """Put the model on the list once it is built. Raises CommandError with the end of the log."""
        while self._process and self._process.poll() is None:
            check()
            time.sleep(0.2)
        if self._process and (status := self._process.returncode):
            last = "\n".join(self._log.read_text(errors="replace").splitlines()[-5:])
            raise CommandError(
                f"building the base model ended with status {status}; its log {self._log}:\n{last}"
            )
        register_base_model(hub_id=HUB_ID, folder=self._folder, licence=LICENCE)


def can_run_programs() -> str:
    """Why generated programs cannot be run in isolation here, in a line; "" where they can."""
    try:
        check_sandbox(BENCHMARKS[slug] for slug in rules.of("code", CURRENT.number).benchmarks)
    except SandboxError as error:
        return " ".join(str(error).split())
    return ""


def import_public_board() -> None:
    """Put the public board's rows on the boards, as they were declared there. A second time adds nothing."""
    # Some of the rows are of the demonstration's base model: it is named now, and listed once it is built.
    BaseModel.objects.get_or_create(hub_id=HUB_ID, defaults={"active": False, "tensors": {}})
    with BOARD.open(encoding="utf-8", newline="") as file:
        import_rows(read_board(file), source=PUBLIC_BOARD)


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


def missing_references(challenges: Sequence[str]) -> list[tuple[Challenge, str]]:
    """The reference entries that are neither there nor being trained, as (challenge, method)."""
    there = set(
        Submission.objects.filter(kind=Submission.Kind.REFERENCE)
        .exclude(status__in=[Submission.Status.FAILED, Submission.Status.WITHDRAWN])
        .values_list("challenge", "method")
    )
    there |= set(BaselineRun.objects.filter(status__in=BaselineRun.ACTIVE).values_list("challenge", "method"))
    wanted = [(CHALLENGES[slug], method) for method in (UNTUNED, FEDAVG) for slug in challenges]
    return [(challenge, method) for challenge, method in wanted if (challenge.slug, method) not in there]


def make_references(url: str, challenges: Sequence[str], say: Say) -> None:
    """Submit the untuned models and start the baselines through the API, with tokens like anybody's."""
    missing = missing_references(challenges)
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


def publish_references(challenges: Sequence[str], say: Say, check: Callable[[], None]) -> Progress:
    """Wait until the references are trained and evaluated, publish them as the reviewer, say how it goes.

    Returns how it ended.
    """
    # As the site that was started. Nobody signs in here, so there is no second factor to ask for.
    settings.STAFF_SECOND_FACTOR = False
    reviewer = User.objects.get(username="reviewer")
    said: set[str] = set()
    while True:
        check()
        for submission in Submission.objects.filter(
            kind=Submission.Kind.REFERENCE, status=Submission.Status.IN_REVIEW
        ):
            cases.claim(submission, reviewer=reviewer)
            decide(submission=submission, reviewer=reviewer, action=Decision.Action.PUBLISH)
            say(f"{submission.get_challenge_display()}: published “{submission.method}”")
        found = progress.now(challenges)
        if found.is_over:
            return found
        for line in found.doing:
            if line not in said:
                said.add(line)
                say(f"{line} ({found.done} of {found.total} done, {found.time_left})")
        time.sleep(1)


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
        "settings": dict(TRAINING),
    }
