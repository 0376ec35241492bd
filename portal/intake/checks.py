"""All checks of a draft: the inspection of what it says and its files, and what only the database tells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from django.core.files.storage import default_storage

from evaluation.checkpoints import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_FILE,
    AdapterSummary,
    BaseModelTensors,
    normalised_adapter_config,
)
from evaluation.findings import Finding, Severity, errors_first, has_errors
from evaluation.flowerconfig import CONFIG_FILE
from evaluation.inspection import Inspection, Known, KnownBase, Material, MaterialFile, inspect
from evaluation.inspection.base_model import SELECTED
from evaluation.inspection.flower_run import RUN_FILE
from evaluation.inspection.material import SUBMITTED
from portal.intake.drafts import Cost, Draft, Files
from portal.intake.repeats import against_other_runs
from portal.outages.causes import storage_access
from portal.submissions.models import BaseModel, Resource, Submission
from portal.submissions.rules import site_rules

Kind = Resource.Kind
Basis = Resource.Basis

MISSING_FILE = "submission.missing_file"
NO_STATEMENT = "submission.no_training_statement"


@dataclass(frozen=True)
class Checked:
    """A draft's inspection, and the `findings` of both it and the database, errors first.

    `adapter_config` is what an evaluation loads, where the files are sound. `keep_adapter` says whether the
    adapter is safetensors at all: then a draft keeps it, since another base model or configuration may fit.
    """

    inspection: Inspection
    findings: tuple[Finding, ...]
    adapter_config: dict[str, object] | None
    keep_adapter: bool

    @property
    def summary(self) -> AdapterSummary | None:
        return self.inspection.adapter

    @property
    def has_errors(self) -> bool:
        return has_errors(self.findings)

    @property
    def derived_costs(self) -> list[Cost]:
        """What follows from the adapter's tensors; none while they are not there."""
        costs, communication = [], self.inspection.communication
        if self.summary:
            costs.append(Cost(Kind.TRAINABLE_PARAMETERS, float(self.summary.parameters), Basis.DERIVED))
            if communication:
                costs.append(Cost(Kind.COMMUNICATION, float(communication.total_bytes), Basis.DERIVED))
        return costs


def evidenced_costs(inspection: Inspection, declared: Sequence[Cost]) -> list[Cost]:
    """What Flower recorded of the run, for kinds that nobody declared. The record is the submitter's too."""
    run, known = inspection.flower_run, {cost.kind for cost in declared}
    figures = ((Kind.COMMUNICATION, run.total_bytes), (Kind.WALL_TIME, run.elapsed)) if run else ()
    return [Cost(kind, value, Basis.DECLARED) for kind, value in figures if value and kind not in known]


def check(draft: Draft, *, files_expected: bool = True) -> Checked:
    """Check a draft in one pass; stores nothing. Files on their way from the hub are not missing."""
    files = draft.files or Files()
    is_untuned = draft.kind == Submission.Kind.REFERENCE and files.is_empty
    material = _material(files, expected=files_expected and not is_untuned)
    inspection = inspect(material, site_rules(draft.challenge), _known(draft))
    config, summary = inspection.adapter_config, inspection.adapter
    loaded = (
        normalised_adapter_config(config, draft.base_model.hub_id, summary) if config and summary else None
    )
    duplicates = _duplicates(draft, summary) if summary else []
    unlike = against_other_runs(draft, inspection, loaded)
    return Checked(
        inspection=inspection,
        findings=errors_first(
            [*_unstated(draft), *_closed(draft.base_model), *unlike, *inspection.findings, *duplicates]
        ),
        adapter_config=loaded,
        keep_adapter=files.has_adapter and not _has_no_safetensors(inspection.findings),
    )


def _material(files: Files, *, expected: bool) -> Material:
    return Material(
        config=_text(files.config, CONFIG_FILE),
        adapter_config=_text(files.adapter_config, ADAPTER_CONFIG_FILE),
        adapter=MaterialFile(ADAPTER_FILE, files.adapter_size, lambda: _opened(files))
        if files.has_adapter
        else None,
        flower_run=_text(files.flower_run, RUN_FILE) if files.flower_run else None,
        expected=frozenset(SUBMITTED if expected else ()),
    )


def _text(content: bytes | None, name: str) -> MaterialFile | None:
    return None if content is None else MaterialFile.of_bytes(content, name)


@contextmanager
def _opened(files: Files) -> Iterator[BinaryIO]:
    if files.adapter is not None:
        files.adapter.seek(0)
        yield files.adapter
    else:
        with storage_access():
            stored = default_storage.open(files.stored_as, "rb")
        with stored:
            yield stored  # type: ignore[misc]  # a Django File reads and seeks like a BinaryIO


def _known(draft: Draft) -> Known:
    """What the draft says beside its files. A reference run of this site may leave the challenge's rules."""
    model = draft.base_model
    declared = {cost.kind: cost.value for cost in draft.costs if cost.basis == Basis.DECLARED}
    communication = declared.get(Kind.COMMUNICATION)
    if communication is None and Kind.COMMUNICATION_UP in declared and Kind.COMMUNICATION_DOWN in declared:
        communication = declared[Kind.COMMUNICATION_UP] + declared[Kind.COMMUNICATION_DOWN]
    return Known(
        base=known_base(model),
        declared_bytes=communication,
        declared_parameters=declared.get(Kind.TRAINABLE_PARAMETERS),
        declared_scores=draft.declared_scores,
        is_exempt=draft.kind == Submission.Kind.REFERENCE,
    )


def known_base(model: BaseModel) -> KnownBase:
    """What is known of a base model on the list."""
    return KnownBase(
        hub_id=model.hub_id,
        revision=model.revision or None,
        aliases=model.other_names,
        parameters=model.parameters,
        tensors=BaseModelTensors.from_json(model.tensors) if model.tensors else None,
    )


def _closed(base_model: BaseModel) -> list[Finding]:
    if base_model.active:
        return []
    message = f"{base_model.hub_id} takes no new submissions. Choose a base model from the list."
    return [Finding("submission.base_model_closed", Severity.ERROR, message, SELECTED)]


def _unstated(draft: Draft) -> list[Finding]:
    """What a team has to state; of its own runs this site says it itself."""
    if draft.not_trained_on_test_items or draft.kind == Submission.Kind.REFERENCE:
        return []
    message = (
        "State that no test item of the benchmarks was trained on. "
        "Without that nothing is evaluated; a draft may wait for it."
    )
    return [Finding(NO_STATEMENT, Severity.ERROR, message, "not_trained_on_test_items")]


def _has_no_safetensors(findings: tuple[Finding, ...]) -> bool:
    """Whether the adapter is no safetensors file: no other base model or configuration could fit it."""
    return any(f.severity is Severity.ERROR and f.code.startswith(("file.", "header.")) for f in findings)


def _duplicates(draft: Draft, summary: AdapterSummary) -> list[Finding]:
    same = (
        Submission.objects.filter(
            challenge=draft.challenge, checkpoint__tensors_digest=summary.tensors_digest
        )
        .exclude(status__in=[Submission.Status.WITHDRAWN, Submission.Status.FAILED])
        .exclude(pk=draft.number or 0)
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
