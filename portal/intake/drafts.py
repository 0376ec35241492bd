"""What a submitter says about a submission, before and while it is a draft."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from evaluation.findings import Finding
from evaluation.inspection.declared import DeclaredScore
from portal.accounts.models import Team, User
from portal.runs.ngrams import Overlap
from portal.submissions.models import BaseModel, Resource, Submission
from portal.submissions.training_data import TRAINING_SET_ALONE


class InvalidSubmission(Exception):
    """The submission has problems that block it; `findings` holds them all. It was not sent.

    `is_adapter_usable`: another configuration or base model may make the adapter's file pass.
    """

    def __init__(self, findings: Sequence[Finding], *, is_adapter_usable: bool = True) -> None:
        super().__init__("; ".join(finding.message for finding in findings))
        self.findings = list(findings)
        self.is_adapter_usable = is_adapter_usable


class TransitionRefused(Exception):
    """The submission's status does not allow this step (any more); the text says so to the user."""


@dataclass(frozen=True)
class Cost:
    """One resource figure of a submission's training, in SI units."""

    kind: Resource.Kind
    value: float
    basis: Resource.Basis


@dataclass(frozen=True)
class Files:
    """The parts that were sent. None stands for one that was not: a draft keeps what it has of it.

    The adapter is `adapter`, which is seekable, or stands in storage already as `stored_as`, a finished
    upload; it is `adapter_size` bytes long.
    """

    adapter: BinaryIO | None = None
    adapter_size: int = 0
    adapter_config: bytes | None = None
    config: bytes | None = None
    flower_run: bytes | None = None
    stored_as: str = ""

    @property
    def has_adapter(self) -> bool:
        return self.adapter is not None or bool(self.stored_as)

    @property
    def is_empty(self) -> bool:
        texts = (self.adapter_config, self.config, self.flower_run)
        return not self.has_adapter and all(text is None for text in texts)


@dataclass(frozen=True)
class HubSource:
    """Where the files stand on the hub. `revision` "" is the default branch, `token` is never stored.

    With `send` the submission is sent when the files have come and nothing stands against it.
    """

    repository: str
    revision: str = ""
    subfolder: str = ""
    token: str = field(default="", repr=False)
    send: bool = False


@dataclass(frozen=True)
class Draft:
    """What a submitter says about a submission; an untuned reference has no files for good.

    With `smoke_run` few items are evaluated at first, and the team decides what comes then. With `hub` the
    files are fetched from there by a worker. `repeats` is the first run of its method, where this one is
    another that differs in its seed. `number` is that of the submission it belongs to.
    """

    submitter: User
    team: Team
    challenge: str
    base_model: BaseModel
    method: str
    files: Files | None = None
    kind: Submission.Kind = Submission.Kind.COMMUNITY
    description: str = ""
    paper_url: str = ""
    code_url: str = ""
    costs: list[Cost] = field(default_factory=list)
    declared_scores: list[DeclaredScore] = field(default_factory=list)
    smoke_run: bool = False
    training_data: str = TRAINING_SET_ALONE
    not_trained_on_test_items: bool = False
    overlap: Overlap | None = None
    repeats: Submission | None = None
    hub: HubSource | None = None
    number: int | None = None
