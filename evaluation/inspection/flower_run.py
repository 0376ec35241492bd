"""What `flwr list --run-id ID --format json` says of a run: its app's bundle, its traffic, its compute time.

Flower's SuperLink counts the bytes of all messages and the seconds of all ServerApps and ClientApps. The
file is the submitter's, so it is evidence and no measurement of this site.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from evaluation.checkpoints.strictjson import JsonError, parse_object
from evaluation.findings import Finding, FindingCollector, excerpt
from evaluation.method.communication import size_text

RUN_FILE = "flower_run.json"
MAX_SIZE = 1024**2
COMPLETED = "finished:completed"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_HOUR = 3600


@dataclass(frozen=True, slots=True)
class FlowerRun:
    """One run as Flower recorded it; None and "" where it does not say."""

    run_id: str
    app: str
    bundle: str
    status: str
    elapsed: float | None
    inbound_bytes: float | None
    outbound_bytes: float | None
    server_seconds: float | None
    client_seconds: float | None

    @property
    def total_bytes(self) -> float | None:
        """Both directions; None where the SuperLink counted nothing."""
        sent = (self.inbound_bytes or 0) + (self.outbound_bytes or 0)
        return sent or None

    def rows(self) -> tuple[tuple[str, str], ...]:
        """For people: a label and a text each, without what is not known."""
        bundle = f"bundle sha256:{self.bundle}" if self.bundle else ""
        traffic = ""
        if self.total_bytes:
            ways = f"{size_text(self.inbound_bytes or 0)} in, {size_text(self.outbound_bytes or 0)} out"
            traffic = f"{size_text(self.total_bytes)} at the SuperLink ({ways})"
        shown = (
            ("Flower app", ", ".join(part for part in (self.app, bundle) if part)),
            ("Run", ", ".join(part for part in (self.run_id, self.status) if part)),
            ("Network traffic", traffic),
            ("Compute time", ", ".join(self._compute())),
        )
        return tuple((label, text) for label, text in shown if text)

    def _compute(self) -> list[str]:
        named = (("clients", self.client_seconds), ("server", self.server_seconds))
        return [f"{name} {seconds / _HOUR:.2f} h" for name, seconds in named if seconds]


def parse_flower_run(content: bytes, *, name: str = RUN_FILE) -> tuple[FlowerRun | None, tuple[Finding, ...]]:
    """Read the file; of several runs the one that completed. Without one, or with several, a warning asks."""
    findings = FindingCollector()
    try:
        listed = parse_object(content) if len(content) <= MAX_SIZE else {}
    except JsonError as error:
        listed = {}
        reason = f" ({error})"
    else:
        reason = ""
    runs = listed.get("runs")
    rows = [row for row in runs if isinstance(row, dict)] if isinstance(runs, list) else []
    if not rows:
        message = (
            f"This is not what flwr list writes{reason}. Send the output of "
            "`flwr list --run-id ID --format json`."
        )
        findings.error("flower_run.unreadable", message, name)
        return None, findings.collected()
    read = [_read(row) for row in rows]
    completed = [run for run in read if run.status == COMPLETED]
    if len(read) > 1 and len(completed) != 1:
        shown = ", ".join(excerpt(run.run_id, 24) for run in (completed or read)[:3])
        message = (
            f"{len(read):,} runs are in it, {len(completed):,} of them completed ({shown}), so none is "
            "taken. Name the run with --run-id."
        )
        findings.warning("flower_run.several", message, name)
        return None, findings.collected()
    run = completed[0] if completed else read[0]
    if run.status != COMPLETED:
        message = (
            f"The run's status is “{excerpt(run.status, 60)}”, not {COMPLETED}, so its figures may be less."
        )
        findings.warning("flower_run.not_completed", message, name)
    return run, findings.collected()


def recorded(text: str) -> FlowerRun | None:
    """The run of a text that was checked before."""
    return parse_flower_run(text.encode())[0] if text else None


def _read(row: Mapping[str, object]) -> FlowerRun:
    app, version = _text(row, "fab-id"), _text(row, "fab-version")
    bundle = _text(row, "fab-hash").lower()
    traffic, compute = _part(row, "network-traffic"), _part(row, "compute-time")
    return FlowerRun(
        run_id=_text(row, "run-id"),
        app=(f"@{app.lstrip('@')}" + (f"=={version}" if version else "")) if app else "",
        bundle=bundle if _SHA256.fullmatch(bundle) else "",
        status=_text(row, "status"),
        elapsed=_number(row, "elapsed"),
        inbound_bytes=_number(traffic, "inbound-bytes"),
        outbound_bytes=_number(traffic, "outbound-bytes"),
        server_seconds=_number(compute, "serverapp-seconds"),
        client_seconds=_number(compute, "clientapp-seconds"),
    )


def _part(row: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = row.get(name)
    return value if isinstance(value, dict) else {}


def _text(row: Mapping[str, object], name: str) -> str:
    value = row.get(name)
    return excerpt(str(value), 200) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _number(row: Mapping[str, object], name: str) -> float | None:
    value = row.get(name)
    is_amount = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e18
    return float(value) if is_amount else None  # type: ignore[arg-type]  # checked in the line above
