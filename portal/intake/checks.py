"""All checks of a draft in one pass: its files, each against the others, and what is declared of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from django.core.files.storage import default_storage

from evaluation.checkpoints import (
    ADAPTER_FILE,
    AdapterConfig,
    AdapterSummary,
    BaseModelTensors,
    inspect_adapter,
    inspect_adapter_config,
    normalised_adapter_config,
)
from evaluation.checkpoints import CONFIG_FILE as ADAPTER_CONFIG_FILE
from evaluation.findings import Finding, FindingCollector, Severity
from evaluation.flowerconfig import CONFIG_FILE, inspect_app_config
from evaluation.flowerconfig.agreement import check_agreement
from evaluation.inspection.declared import check_declared_scores
from evaluation.method.card import MethodCard
from evaluation.method.communication import Communication, check_budget, check_declared, derive
from evaluation.rules.challenges import CHALLENGES
from portal.intake.drafts import Cost, Draft, Files
from portal.submissions.models import Resource, Submission

Kind = Resource.Kind
Basis = Resource.Basis

MISSING_FILE = "submission.missing_file"
DECLARED_COMMUNICATION = "communication, declared"


@dataclass(frozen=True)
class Inspection:
    """Everything that the checks found, errors first, and what the files mean where they are sound.

    `keep_adapter` says whether the adapter is safetensors at all: then a draft keeps it, since another base
    model or configuration may fit it.
    """

    findings: list[Finding]
    summary: AdapterSummary | None
    adapter_config: dict[str, object] | None
    card: MethodCard | None
    communication: Communication | None
    keep_adapter: bool

    @property
    def derived_costs(self) -> list[Cost]:
        costs = []
        if self.summary:
            costs.append(Cost(Kind.TRAINABLE_PARAMETERS, float(self.summary.parameters), Basis.DERIVED))
        if self.communication:
            costs.append(Cost(Kind.COMMUNICATION, float(self.communication.total_bytes), Basis.DERIVED))
        return costs


def inspect(draft: Draft, *, files_expected: bool = True) -> Inspection:
    """Check a draft in one pass; stores nothing. Files on their way from the hub are not missing."""
    files = draft.files or Files()
    # A reference run of this site may leave the challenge's rules: a demonstration has fewer clients.
    rules = None if draft.kind == Submission.Kind.REFERENCE else CHALLENGES[draft.challenge]
    findings = [*_base_model(draft), *check_declared_scores(draft.declared_scores)]
    if files_expected:
        findings += _missing(draft, files)
    card, config = None, None
    if files.config is not None:
        card, found = inspect_app_config(files.config, rules)
        findings += found
    if files.adapter_config is not None:
        config, found = inspect_adapter_config(
            files.adapter_config,
            base_hub_id=draft.base_model.hub_id,
            base_revision=draft.base_model.revision or None,
        )
        findings += found
    summary, adapter_findings = _adapter(draft, files, config)
    findings += adapter_findings
    if card:
        findings += check_agreement(card, config, summary)
    communication = derive(card, summary.parameters) if card and summary else None
    findings += _costs(draft, summary, communication)
    if summary:
        findings += _duplicates(draft, summary)
    order = list(Severity)
    findings.sort(key=lambda finding: order.index(finding.severity))
    return Inspection(
        findings=findings,
        summary=summary,
        adapter_config=normalised_adapter_config(config, draft.base_model.hub_id, summary)
        if config and summary
        else None,
        card=card,
        communication=communication,
        keep_adapter=files.has_adapter and not _is_unreadable(adapter_findings),
    )


def _base_model(draft: Draft) -> list[Finding]:
    if draft.base_model.active:
        return []
    message = f"{draft.base_model.hub_id} takes no new submissions. Choose a base model from the list."
    return [Finding("submission.base_model_closed", Severity.ERROR, message, "base_model")]


def _missing(draft: Draft, files: Files) -> list[Finding]:
    if draft.kind == Submission.Kind.REFERENCE and files.is_empty:
        return []
    there = {
        ADAPTER_FILE: files.has_adapter,
        ADAPTER_CONFIG_FILE: files.adapter_config is not None,
        CONFIG_FILE: files.config is not None,
    }
    return [
        Finding(MISSING_FILE, Severity.ERROR, "This file is missing. Add it.", name)
        for name, is_there in there.items()
        if not is_there
    ]


def _adapter(
    draft: Draft, files: Files, config: AdapterConfig | None
) -> tuple[AdapterSummary | None, tuple[Finding, ...]]:
    if not files.has_adapter:
        return None, ()
    base = BaseModelTensors.from_json(draft.base_model.tensors) if draft.base_model.tensors else None
    with _opened(files) as file:
        file.seek(0)
        return inspect_adapter(file, files.adapter_size, config, base)


@contextmanager
def _opened(files: Files) -> Iterator[BinaryIO]:
    if files.adapter is not None:
        yield files.adapter
    else:
        with default_storage.open(files.stored_as, "rb") as stored:
            yield stored  # type: ignore[misc]  # a Django File reads and seeks like a BinaryIO


def _is_unreadable(findings: tuple[Finding, ...]) -> bool:
    """Whether the adapter is no safetensors file: no other base model or configuration could fit it."""
    return any(f.severity is Severity.ERROR and f.code.startswith(("file.", "header.")) for f in findings)


def _costs(
    draft: Draft, summary: AdapterSummary | None, communication: Communication | None
) -> tuple[Finding, ...]:
    """Declared figures against derived ones, and both against the budget."""
    findings = FindingCollector()
    declared = {cost.kind: cost.value for cost in draft.costs if cost.basis == Basis.DECLARED}
    budget = CHALLENGES[draft.challenge].communication_budget_bytes
    stated = declared.get(Kind.COMMUNICATION)
    if stated is None and Kind.COMMUNICATION_UP in declared and Kind.COMMUNICATION_DOWN in declared:
        stated = declared[Kind.COMMUNICATION_UP] + declared[Kind.COMMUNICATION_DOWN]
    if stated is not None:
        check_budget(stated, budget, DECLARED_COMMUNICATION, findings)
    if communication:
        check_budget(communication.total_bytes, budget, CONFIG_FILE, findings)
        if stated is not None and summary:
            check_declared(
                stated, communication, DECLARED_COMMUNICATION, findings, tensors=summary.tensor_count
            )
    parameters = declared.get(Kind.TRAINABLE_PARAMETERS)
    if summary and parameters is not None and parameters != summary.parameters:
        findings.warning(
            "submission.parameters_differ",
            f"{parameters:,.0f} trainable parameters are declared, the adapter has {summary.parameters:,}. "
            "Check the number, or say in the description what else was trained.",
            "trainable parameters, declared",
        )
    return findings.collected()


def _duplicates(draft: Draft, summary: AdapterSummary) -> list[Finding]:
    same = (
        Submission.objects.filter(
            challenge=draft.challenge, checkpoint__tensors_digest=summary.tensors_digest
        )
        .exclude(status__in=[Submission.Status.WITHDRAWN, Submission.Status.FAILED])
        .select_related("team")
        .first()
    )
    if same is None:
        return []
    if same.team_id == draft.team.pk:
        words = f"Your team submitted these very tensors before, as submission {same.pk}."
    else:
        words = (
            "Another team submitted these very tensors before. The reviewer will ask where they come from."
        )
    return [Finding("submission.duplicate_checkpoint", Severity.WARNING, words, ADAPTER_FILE)]
