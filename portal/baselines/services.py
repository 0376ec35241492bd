"""What staff do with baseline runs: start one, cancel one. Workers' part stands in portal.baselines.queue."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from django.db import transaction

from evaluation.adapter_kinds import KINDS, LORA
from evaluation.checkpoints.base_model import BaseModelTensors
from evaluation.federated import checks, planned
from evaluation.federated.config import FederatedConfig
from evaluation.findings import Finding, Severity, has_errors
from evaluation.method.strategies import STRATEGIES
from portal.accounts.access import may_submit_references
from portal.accounts.models import Membership, Team, User
from portal.baselines.training_rows import rows_of
from portal.queues import wake_trainers
from portal.runs import claims
from portal.runs.models import BaselineRun, StudyRun
from portal.submissions.models import BaseModel, Submission

TEAM = "Reference baselines"
METHOD_LENGTH = 80


class InvalidRun(Exception):
    """The run cannot work; `findings` holds every reason. Nothing was started."""

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__("; ".join(finding.message for finding in findings))
        self.findings = findings


class RunRefused(Exception):
    """The run's status does not allow this step (any more); the text says so to the user."""


@dataclass(frozen=True)
class PlannedRun:
    """A run as it could be. `config` names the base model and the rows; neither has a path yet."""

    base_model: BaseModel
    config: FederatedConfig


@dataclass(frozen=True)
class Request:
    """A run that staff ask for. `method` "" leaves the entry's name to the strategy.

    `original` is the submission that is retrained, `assumed` what its method card left open, in sentences.
    """

    plan: PlannedRun
    requester: User
    method: str = ""
    original: Submission | None = None
    assumed: tuple[str, ...] = ()


def settled(config: FederatedConfig, base_model: BaseModel) -> FederatedConfig:
    """`config` on that base model and the challenge's training rows, by their names, defaults written out."""
    return replace(
        config.settled(),
        model=Path(base_model.hub_id),
        base_model_id=base_model.hub_id,
        train_data=Path(rows_of(config.challenge, config.partition.column).name),
    )


def findings(plan: PlannedRun) -> list[Finding]:
    """Everything that speaks against a run or is to be known before it starts."""
    found = []
    if not plan.base_model.active:
        message = f"{plan.base_model.hub_id} takes no new submissions. Choose another base model."
        found.append(Finding("submission.base_model_closed", Severity.ERROR, message, "base_model"))
    rows = rows_of(plan.config.challenge, plan.config.partition.column).rows
    return [*found, *checks.findings(plan.config, rows, _tensors(plan.base_model))]


def communication(plan: PlannedRun) -> int | None:
    """The bytes that a run will send in both directions, if they can be told."""
    tensors = _tensors(plan.base_model)
    return planned.planned_bytes(plan.config, tensors) if tensors else None


def kept_bytes(plan: PlannedRun) -> int | None:
    """The bytes of the adapters that a run will keep on its way, if they can be told."""
    tensors = _tensors(plan.base_model)
    return planned.kept_bytes(plan.config, tensors) if tensors else None


@transaction.atomic
def start(request: Request) -> BaselineRun:
    """Queue a run and wake the workers. Raises InvalidRun with every finding when one of them is an error."""
    found = findings(request.plan)
    if has_errors(found):
        raise InvalidRun(found)
    reference_team(request.requester)
    run = enqueue(request)
    wake_trainers()
    return run


def enqueue(request: Request, *, priority: int = 0) -> BaselineRun:
    """The queued run of a request that was checked; whoever calls this wakes the workers."""
    config, base_model = request.plan.config, request.plan.base_model
    return BaselineRun.objects.create(
        challenge=config.challenge,
        base_model=base_model,
        strategy=config.strategy,
        precision=config.precision,
        method=(request.method or default_method(config))[:METHOD_LENGTH],
        config=config.as_dict(),
        assumed=list(request.assumed),
        rounds=config.rounds,
        requested_by=request.requester,
        original=request.original,
        priority=priority,
    )


@transaction.atomic
def again(ended: BaselineRun) -> BaselineRun:
    """Queue a run like one that ended, as its requester's and at its place of a study; wake the workers."""
    kept = ("challenge", "strategy", "precision", "method", "config", "assumed", "rounds", "priority")
    run = BaselineRun.objects.create(
        base_model=ended.base_model,
        requested_by=ended.requested_by,
        original=ended.original,
        **{name: getattr(ended, name) for name in kept},
    )
    for place in StudyRun.objects.filter(run=ended):
        StudyRun.objects.create(study_id=place.study_id, cell=place.cell, seed=place.seed, run=run)
    wake_trainers()
    return run


def cancel(run: BaselineRun, *, by: User) -> None:
    """End a queued or running run for good; its worker kills the processes within seconds.

    Raises RunRefused when it is over already.
    """
    words = f"Cancelled by {by.get_username()}."
    if not claims.cancel(BaselineRun.objects.filter(pk=run.pk), error_message=words):
        run.refresh_from_db(fields=["status"])
        raise RunRefused(f"The run is over already: {run.get_status_display()}.")


def default_method(config: FederatedConfig) -> str:
    """The name of an entry for which nobody chose one."""
    title = STRATEGIES[config.strategy].title if config.strategy in STRATEGIES else config.strategy
    plain = config.adapter == LORA.key
    return f"{title} baseline" if plain else f"{title} baseline with {KINDS[config.adapter].title}"


def reference_team(member: User) -> Team:
    """The team that owns reference entries, with `member` in it.

    Raises RunRefused when the team has a member who may not submit reference entries: somebody made a team
    of that name first, and would own what is trained here.
    """
    team, is_new = Team.objects.get_or_create(name=TEAM)
    strangers = [user for user in team.members.all() if not may_submit_references(user)]
    if strangers:
        names = ", ".join(user.get_username() for user in strangers)
        raise RunRefused(f"The team “{TEAM}” has members who may not submit reference entries: {names}.")
    role = Membership.Role.OWNER if is_new else Membership.Role.MEMBER
    Membership.objects.get_or_create(team=team, user=member, defaults={"role": role})
    return team


def _tensors(base_model: BaseModel) -> BaseModelTensors | None:
    return BaseModelTensors.from_json(base_model.tensors) if base_model.tensors else None
