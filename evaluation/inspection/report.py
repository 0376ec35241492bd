"""An inspection as people and scripts read it: text for a terminal, and a JSON object."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterable, Sequence

from evaluation.findings import RecordedFinding, Severity, excerpt
from evaluation.inspection.communication_log import CommunicationLog
from evaluation.inspection.folder import AppFiles
from evaluation.inspection.submission import Inspection
from evaluation.method.communication import size_text

LOOK_UP = "`flowertune explain CODE` says more about a code in brackets."
_WIDTH = 100


def as_text(inspection: Inspection, files: AppFiles) -> str:
    """Files, method, adapter and communication as tables, then all findings by severity.

    Each finding has its code in brackets, and the last line says how to look one up.
    """
    sections = [
        (inspection.rules.challenge.title, _files(files, inspection.log)),
        ("Method", inspection.card.rows() if inspection.card else ()),
        ("Adapter", _adapter(inspection)),
        ("Communication", _communication(inspection)),
        ("As Flower recorded it", inspection.flower_run.rows() if inspection.flower_run else ()),
    ]
    tables = ["\n".join([title, *_table(rows)]) for title, rows in sections if rows]
    look_up = [LOOK_UP] if inspection.findings else []
    return "\n\n".join([*tables, *findings_as_text(inspection.findings), *look_up])


def as_dict(inspection: Inspection, files: AppFiles) -> dict[str, object]:
    """A JSON-serialisable object; sizes in bytes, what is not known is null."""
    adapter, derived, log = inspection.adapter, inspection.communication, inspection.log
    summary: dict[str, object] | None = None
    if adapter:
        summary = dataclasses.asdict(adapter) | {"modules": len(adapter.modules)}
    return {
        "challenge": inspection.rules.challenge.slug,
        "config": files.name(files.config) if files.config else None,
        "checkpoint": files.name(files.adapter) if files.adapter else None,
        "round": files.round,
        "method": inspection.card.to_json() if inspection.card else None,
        "adapter": summary,
        "communication": {
            "derived_bytes": derived.total_bytes if derived else None,
            "up_bytes": derived.up_bytes if derived else None,
            "down_bytes": derived.down_bytes if derived else None,
            "logged_bytes": log.total_bytes if log else None,
            "log": log.name if log else None,
        },
        "flower_run": dataclasses.asdict(inspection.flower_run) if inspection.flower_run else None,
        "findings": [dataclasses.asdict(finding) for finding in inspection.findings],
        "valid": not inspection.has_errors,
    }


def _files(files: AppFiles, log: CommunicationLog | None) -> list[tuple[str, str]]:
    rows = [("Configuration", files.name(files.config))] if files.config else []
    if files.adapter:
        name = files.name(files.adapter)
        rows.append(("Checkpoint", "this folder" if name == "." else name))
    if log:
        rows.append(("Communication log", log.name))
    return rows


def _adapter(inspection: Inspection) -> list[tuple[str, str]]:
    adapter = inspection.adapter
    if adapter is None:
        return []
    return [
        ("Parameters", f"{adapter.parameters:,} ({', '.join(adapter.dtypes)})"),
        ("Tensors", f"{adapter.tensor_count:,}"),
        ("Ranks", ", ".join(map(str, adapter.ranks)) + f" on {len(adapter.modules):,} modules"),
        ("Size", size_text(adapter.size)),
        ("SHA-256", adapter.sha256),
        ("Tensors' digest", adapter.tensors_digest),
    ]


def _communication(inspection: Inspection) -> list[tuple[str, str]]:
    derived, log = inspection.communication, inspection.log
    rows = []
    if derived:
        rows.append(("Derived", f"{size_text(derived.total_bytes)} = {derived}"))
    if log:
        rows.append(("Logged", size_text(log.total_bytes)))
    return rows


def _table(rows: Iterable[tuple[str, str]]) -> list[str]:
    lines: list[str] = []
    for label, text in rows:
        indent = " " * 24
        lines += textwrap.wrap(text, _WIDTH, initial_indent=f"  {label:<22}", subsequent_indent=indent) or []
    return lines


def findings_as_text(findings: Sequence[RecordedFinding]) -> list[str]:
    """One block of lines a severity, errors first."""
    blocks = []
    for severity in Severity:
        alike = [finding for finding in findings if finding.severity is severity]
        if alike:
            plural = "s" if len(alike) > 1 else ""
            lines = [line for finding in alike for line in _finding(finding)]
            blocks.append("\n".join([f"{len(alike)} {severity.value}{plural}", *lines]))
    return blocks or ["Nothing to report."]


def _finding(finding: RecordedFinding) -> list[str]:
    place = f"  {excerpt(finding.location, 200)}" if finding.location else "  (whole submission)"
    text = textwrap.wrap(finding.message, _WIDTH, initial_indent="    ", subsequent_indent="    ")
    return [f"{place}  [{finding.code}]", *text]
