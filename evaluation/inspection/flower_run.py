"""What `flwr list --run-id ID --format json` says of a run: its app's bundle, its traffic, its compute time.

Beside its `runs` it may have `verifications`: who signed the bundle on Flower Hub, as the SuperLink keeps it
in the column of that name of its table `fab`. Nothing here knows the keys, so that no signature is checked.

Flower's SuperLink counts the bytes of all messages and the seconds of all ServerApps and ClientApps. The
file is the submitter's, so it is evidence and no measurement of this site.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

from evaluation.checkpoints.strictjson import JsonError, parse_object
from evaluation.findings import Finding, FindingCollector, excerpt
from evaluation.method.communication import size_text

RUN_FILE = "flower_run.json"
MAX_SIZE = 1024**2
COMPLETED = "finished:completed"
MOST_SIGNERS = 10
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SIGNATURE = re.compile(r"[A-Za-z0-9_-]{86}(?:==)?")  # 64 bytes in base64url
_LICENSE = "valid_license"  # stands among the keys, and is none
_YEAR_10000 = 253_402_300_800
_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Signer:
    """A key that signed the bundle, by its id on Flower Hub, and when. Whose it is, is not known here."""

    key: str
    at: datetime


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
    signers: tuple[Signer, ...] = ()

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
            ("Signed on Flower Hub", "; ".join(f"key {one.key}, {one.at:%Y-%m-%d}" for one in self.signers)),
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
    signers, odd = _signers(listed.get("verifications"))
    if odd:
        message = (
            f"{odd:,} of the signatures in verifications cannot be read and are left out. Give the column as "
            "the SuperLink has it."
        )
        findings.warning("flower_run.signatures", message, name)
    read = [_read(row, signers) for row in rows]
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


def _signers(given: object) -> tuple[tuple[Signer, ...], int]:
    """Those that can be read, in the order of time, and how many cannot."""
    listed = _object(given)
    if listed is None:
        return (), int(given is not None)
    found = {key: _signer(key, value) for key, value in listed.items() if key != _LICENSE}
    read = sorted((one for one in found.values() if one), key=lambda one: (one.at, one.key))
    return tuple(read[:MOST_SIGNERS]), len(found) - len(read)


def _signer(key: str, value: object) -> Signer | None:
    row = _object(value) or {}
    signature, at = row.get("signature"), row.get("signed_at")
    if not isinstance(signature, str) or not _SIGNATURE.fullmatch(signature):
        return None
    if isinstance(at, bool) or not isinstance(at, int) or not 0 < at < _YEAR_10000:
        return None
    return Signer(excerpt(key, 80), datetime.fromtimestamp(at, timezone.utc))  # noqa: UP017 -- Python 3.10


def _object(value: object) -> Mapping[str, object] | None:
    """Flower keeps the objects as texts of JSON."""
    if isinstance(value, str):
        try:
            return parse_object(value.encode())
        except (JsonError, UnicodeEncodeError):
            return None
    return value if isinstance(value, dict) else None


def _read(row: Mapping[str, object], signers: tuple[Signer, ...]) -> FlowerRun:
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
        signers=signers if _SHA256.fullmatch(bundle) else (),
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
