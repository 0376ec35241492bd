"""Measuring what an adapter gives away of its training rows, with the engine that is resident."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.data.training import TrainingRow
from evaluation.engines import Engine
from evaluation.engines.engine import Text
from evaluation.errors import DataError
from evaluation.federated.config import FederatedConfig
from evaluation.federated.encoding import IGNORED, encode
from evaluation.hub import base_models
from evaluation.leakage import report
from evaluation.leakage.canaries import Canary, exposure, most_bits, references_of
from evaluation.leakage.signals import RowProbabilities, mean
from evaluation.method.row_form import RowForm, columns_of
from evaluation.names import lookup
from evaluation.rules import protocol as protocols
from evaluation.rules.protocol import PRECISIONS
from evaluation.running import leakage_rows, provenance
from evaluation.running.leakage_rows import Rows
from evaluation.running.provenance import Provenance, Subject
from evaluation.running.run import Evaluator, Observer
from evaluation.wire.leakage import ClientLeakage, Exposure, Membership
from evaluation.wire.registration import Registration

ENGINE = "transformers"
SEQUENCE_TOKENS = 512
"""Where no run says how long a row may be: as the public apps have it."""

Told = Callable[[int, int], None]


@dataclass(frozen=True)
class LeakagePlan:
    """What to measure; fields as in `evaluation.wire.leakage.LeakageJob`."""

    model: str
    adapter: Path
    challenge: str
    protocol: int
    precision: str
    rows: Path
    run: FederatedConfig | None = None
    took_part: tuple[int, ...] = ()
    data: str | None = None
    registered: tuple[Registration, ...] = ()


@dataclass(frozen=True)
class Leakage:
    """What was found, over so many rows that were trained on and others."""

    members: int
    others: int
    memberships: tuple[Membership, ...]
    clients: tuple[ClientLeakage, ...]
    exposures: tuple[Exposure, ...]
    seconds: float
    provenance: Provenance


@dataclass(frozen=True)
class _Writing:
    """How rows become tokens."""

    form: RowForm
    length: int
    tokenizer: Any

    def text(self, row: TrainingRow) -> Text | None:
        """None where nothing of the row is learnt."""
        tokens = encode(row, self.form, self.tokenizer, self.length)
        scored = tuple(place for place, label in enumerate(tokens.labels) if place and label != IGNORED)
        return Text(tokens.ids, scored) if scored else None


def measure(plan: LeakagePlan, evaluator: Evaluator, observer: Observer, told: Told) -> Leakage:
    """Raises DataError where rows of one kind are too few, and what engines raise."""
    began = time.monotonic()
    precision = lookup("precision", plan.precision, {known: known for known in PRECISIONS})
    rows = _rows(plan)
    model = base_models.named(plan.model)
    engine = evaluator.opened(ENGINE, model.folder, precision, observer)
    writing = _writing(plan, engine)
    texts = [(looked, writing.text(looked.row)) for looked in rows.looked]
    written = [(looked, text) for looked, text in texts if text is not None]
    references = {canary: references_of(canary, _seed(plan)) for canary in rows.canaries}
    secrets = [_text(writing, one) for canary, others in references.items() for one in (canary, *others)]
    asked = [text for _, text in written]
    total = 2 * len(asked) + len(secrets)
    engine.use_adapter(None)
    base = engine.log_probabilities(asked, lambda done: told(done, total))
    engine.use_adapter(plan.adapter)
    adapter = engine.log_probabilities([*asked, *secrets], lambda done: told(len(asked) + done, total))
    found = [
        RowProbabilities(looked.is_member, looked.client, own, untuned)
        for (looked, _), own, untuned in zip(written, adapter, base, strict=False)
    ]
    tested = _tests(found)
    subject = Subject.of_model(
        protocols.get(plan.protocol), precision, model.title, model.folder, plan.adapter
    )
    return Leakage(
        members=sum(row.is_member for row in found),
        others=sum(not row.is_member for row in found),
        memberships=tested,
        clients=report.by_client(found),
        exposures=_exposures(list(rows.canaries), [mean(one) for one in adapter[len(asked) :]]),
        seconds=time.monotonic() - began,
        provenance=provenance.describe(subject, engine.facts(), [], {}),
    )


def _rows(plan: LeakagePlan) -> Rows:
    if plan.run is not None:
        return leakage_rows.of_run(plan.run, plan.took_part)
    return leakage_rows.declared(plan.challenge, plan.protocol, plan.rows, plan.data, plan.registered)


def _writing(plan: LeakagePlan, engine: Engine) -> _Writing:
    if plan.run is not None:
        return _Writing(plan.run.form, plan.run.sequence_length, engine.tokenizer())
    form = RowForm("alpaca", columns_of(plan.challenge))
    return _Writing(form, SEQUENCE_TOKENS, engine.tokenizer())


def _seed(plan: LeakagePlan) -> int:
    return plan.run.seed if plan.run else 0


def _text(writing: _Writing, canary: Canary) -> Text:
    text = writing.text(canary.row)
    if text is None:
        raise DataError("a canary's answer does not fit into a row of this run")
    return text


def _tests(found: Sequence[RowProbabilities]) -> tuple[Membership, ...]:
    try:
        return report.memberships(found)
    except ValueError as error:
        raise DataError("of too few rows anything is learnt to test membership") from error


def _exposures(canaries: Sequence[Canary], likelihoods: Sequence[float]) -> tuple[Exposure, ...]:
    """`likelihoods` are of each canary and then its references, one canary after the other."""
    if not canaries:
        return ()
    each = len(likelihoods) // len(canaries)
    exposures = []
    for number, canary in enumerate(canaries):
        own, *others = likelihoods[number * each : (number + 1) * each]
        exposures.append(Exposure(canary.client, exposure(own, others), most_bits(len(others))))
    return tuple(exposures)
