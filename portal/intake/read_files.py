"""What the files that somebody chose say: the form's values with their places, and the findings so far."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from evaluation.benchmarks import BENCHMARKS
from evaluation.checkpoints.base_names import listed_as
from evaluation.findings import Finding
from evaluation.inspection import Inspection, Known, inspect
from evaluation.inspection.submission import named_base_model
from evaluation.method.card import MethodCard
from evaluation.method.communication import GB, size_text
from portal.intake.checks import known_base
from portal.intake.chosen_files import Found
from portal.runs import forecast, presence
from portal.submissions.models import BaseModel
from portal.submissions.rules import all_site_rules, site_rules
from portal.uploads import file_too_large


@dataclass(frozen=True)
class Value:
    """What a field of the form is filled with, as `text` for people, and the `place` that says it."""

    field: str
    label: str
    value: str
    text: str
    place: str


@dataclass(frozen=True)
class Reading:
    """All that the files say. `values` fill the form's fields; `remarks` are shown alone."""

    values: tuple[Value, ...]
    remarks: tuple[tuple[str, str, str], ...]
    findings: tuple[Finding, ...]
    is_header_only: bool
    evaluated: str
    when: str


def read(found: Found, *, challenge: str = "", base_model: BaseModel | None = None) -> Reading:
    """`challenge` and `base_model` are those that the form says already; they come before the files'."""
    material, config = found.folder.material, found.files.get("pyproject", "")
    named = named_base_model(material)
    base = base_model or (_listed(named) if named else None)
    first = _inspected(found, challenge, base)
    card = first.card
    suggested = challenge or _challenge(card)
    inspection = _inspected(found, suggested, base) if suggested != challenge else first
    values: list[Value] = []
    if suggested and not challenge:
        title = site_rules(suggested).challenge.title
        values.append(Value("challenge", "Challenge", suggested, title, f"{config}, by its data set"))
    base_place = config if card and card.base_model else found.files.get("adapter_config", "")
    if base and base_model is None:
        values.append(Value("base_model", "Base model", str(base.pk), base.hub_id, base_place))
    if card and (method := card.suggested_method):
        values.append(Value("method", "Method", method, method, config))
    values += _costs(found, inspection)
    remarks = [] if base or not named else [("Base model", f"{named}, which is not on the list", base_place)]
    adapter = material.adapter
    findings = inspection.findings
    if adapter and adapter.size > settings.SUBMISSION_MAX_BYTES:
        findings = (file_too_large(adapter.name), *findings)
    return Reading(
        values=tuple(values),
        remarks=(*remarks, *_remarks(found, inspection)),
        findings=findings,
        is_header_only=bool(adapter and adapter.header_only),
        evaluated=_evaluated(suggested) if suggested else "",
        when=_when(),
    )


def _inspected(found: Found, challenge: str, base: BaseModel | None) -> Inspection:
    """Without a challenge what no challenge's rules are needed for."""
    rules = site_rules(challenge) if challenge else all_site_rules()[0]
    known = Known(base=known_base(base) if base else None, is_exempt=not challenge)
    return inspect(found.folder.material, rules, known)


def _listed(named: str) -> BaseModel | None:
    """The open base model that goes by this name."""
    models = {model.hub_id: model for model in BaseModel.objects.filter(active=True).defer("tensors")}
    found = listed_as(named, {hub_id: model.other_names for hub_id, model in models.items()})
    return models[found] if found else None


def _challenge(card: MethodCard | None) -> str:
    """The challenge that trains on the card's data set."""
    dataset = (card.static_dataset or "").lower() if card else ""
    for rules in all_site_rules():
        if dataset in map(str.lower, (*rules.training_sets, *rules.former_training_sets)):
            return rules.challenge.slug
    return ""


def _costs(found: Found, inspection: Inspection) -> Iterator[Value]:
    """What logs and the record of the training say; what is derived from the files is the site's own."""
    record, place = _record(found.record), found.record.name if found.record else ""
    sent = _number(record, "communication_down_bytes"), _number(record, "communication_up_bytes")
    if inspection.log:
        amount = inspection.log.total_bytes
        yield Value(
            "communication_gb", "Communication", _short(amount / GB), size_text(amount), inspection.log.name
        )
    elif sent[0] is not None and sent[1] is not None:
        amount = sent[0] + sent[1]
        yield Value("communication_gb", "Communication", _short(amount / GB), size_text(amount), place)
    if vram := _number(record, "client_peak_vram_bytes"):
        yield Value("client_vram_gb", "Client GPU memory", _short(vram / GB), size_text(vram), place)
    if seconds := _number(record, "wall_seconds"):
        hours = _short(seconds / 3600)
        yield Value("training_hours", "Training time", hours, f"{hours} hours", place)


def _remarks(found: Found, inspection: Inspection) -> Iterator[tuple[str, str, str]]:
    config = found.files.get("pyproject", "")
    rows = dict(inspection.card.rows()) if inspection.card else {}
    for label in ("Strategy", "Clients", "Rounds"):
        if text := rows.get(label):
            yield label, text, config
    if inspection.communication:
        derived = inspection.communication
        yield "Communication, derived", size_text(derived.total_bytes), f"{config} and the adapter"
    for name in found.unread:
        yield "Not read", "too large to be read here", name


def _record(path: Path | None) -> Mapping[str, object]:
    """The record of the training; empty where it is no such file, which is somebody else's then."""
    if path is None:
        return {}
    try:
        record = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _number(record: Mapping[str, object], name: str) -> float | None:
    value = record.get(name)
    is_amount = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e18
    return float(value) if is_amount else None  # type: ignore[arg-type]  # checked in the line above


def _short(value: float) -> str:
    return f"{value:.4g}" if 0 < value < 1000 else f"{value:.0f}"


def _evaluated(challenge: str) -> str:
    titles = [BENCHMARKS[slug].title for slug in site_rules(challenge).benchmarks]
    return ", ".join(titles)


def _when() -> str:
    """Roughly when an evaluation that is sent now begins."""
    if not presence.workers():
        return "No worker is running now, so it waits until one is."
    waiting = list(forecast.expectations().values())
    if not waiting:
        return "None waits, so it begins as soon as a worker is free."
    last = waiting[-1]
    return f"{len(waiting):,} before it; the last of them: {forecast.in_words(last)}."
