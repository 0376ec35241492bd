"""Measuring what an adapter gives away of its training rows, with the engine that is resident."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.data.training import TrainingRow
from evaluation.engines import Engine
from evaluation.engines.engine import Text
from evaluation.errors import DataError, ModelError
from evaluation.federated.config import FederatedConfig
from evaluation.federated.encoding import IGNORED, encode
from evaluation.hub import base_models
from evaluation.leakage import report
from evaluation.leakage.canaries import Canary, exposure, most_bits, references_of
from evaluation.leakage.signals import RowProbabilities
from evaluation.method.row_form import COLUMN_CHOICES, RowForm, columns_of
from evaluation.names import lookup
from evaluation.rules import protocol as protocols
from evaluation.rules.protocol import PRECISIONS
from evaluation.running import leakage_items, leakage_rows, provenance
from evaluation.running.leakage_rows import Looked, Rows
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
    rounds: tuple[tuple[int, ...], ...] = ()
    template: str | None = None
    columns: tuple[str, ...] | None = None
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
    """Raises DataError where rows of one kind are too few, ModelError where the model gives no numbers, and
    what engines raise."""
    began = time.monotonic()
    precision = lookup("precision", plan.precision, {known: known for known in PRECISIONS})
    rows = _rows(plan)
    model = base_models.named(plan.model)
    engine = evaluator.opened(ENGINE, model.folder, precision, observer)
    writing = _writing(plan, engine)
    written = _written(rows, writing)
    references = {canary: references_of(canary, _seed(plan)) for canary in rows.canaries}
    secrets = [_text(writing, one) for canary, others in references.items() for one in (canary, *others)]
    asked = [text for _, text in written]
    total = 2 * len(asked) + len(secrets)
    engine.use_adapter(None)
    base = engine.log_probabilities(asked, lambda done: told(done, total))
    # The same texts in the same batches: an adapter that changes nothing gives the same numbers.
    engine.use_adapter(plan.adapter)
    adapter = engine.log_probabilities(asked, lambda done: told(len(asked) + done, total))
    likelihoods = engine.log_probabilities(secrets, lambda done: told(2 * len(asked) + done, total))
    _finite([*base, *adapter, *likelihoods])
    found = [
        RowProbabilities(looked.is_member, looked.client, own, untuned)
        for (looked, _), own, untuned in zip(written, adapter, base, strict=True)
    ]
    subject = Subject.of_model(
        protocols.get(plan.protocol), precision, model.title, model.folder, plan.adapter
    )
    return Leakage(
        members=sum(row.is_member for row in found),
        others=sum(not row.is_member for row in found),
        memberships=report.memberships(found),
        clients=report.by_client(found),
        exposures=_exposures(list(rows.canaries), [math.fsum(one) for one in likelihoods]),
        seconds=time.monotonic() - began,
        provenance=provenance.describe(subject, engine.facts(), [], {}),
    )


def _rows(plan: LeakagePlan) -> Rows:
    if plan.run is not None:
        return leakage_rows.of_run(plan.run, plan.rounds)
    return leakage_items.declared(plan.challenge, plan.protocol, plan.rows, plan.data, plan.registered)


def form_of(plan: LeakagePlan) -> RowForm:
    """How a row was written in training: of a run here it is known, of another adapter its team states it;
    what is not stated, or in words that are not known, is taken to be as in the challenge's public app."""
    if plan.run is not None:
        return plan.run.form
    if plan.template == "fingpt":
        return RowForm("fingpt")
    stated = [columns for columns in COLUMN_CHOICES if columns == plan.columns]
    return RowForm("alpaca", stated[0] if stated else columns_of(plan.challenge))


def _writing(plan: LeakagePlan, engine: Engine) -> _Writing:
    length = plan.run.sequence_length if plan.run else SEQUENCE_TOKENS
    return _Writing(form_of(plan), length, engine.tokenizer())


def _seed(plan: LeakagePlan) -> int:
    return plan.run.seed if plan.run else 0


def _text(writing: _Writing, canary: Canary) -> Text:
    text = writing.text(canary.row)
    if text is None:
        raise DataError("a canary's answer does not fit into a row of this run")
    return text


def _written(rows: Rows, writing: _Writing) -> list[tuple[Looked, Text]]:
    """Those of which anything is learnt. Raises DataError where they are too few of a kind."""
    texts = ((looked, writing.text(looked.row)) for looked in rows.looked)
    written = [(looked, text) for looked, text in texts if text is not None]
    leakage_rows.enough(
        [looked for looked, _ in written if looked.is_member],
        [looked for looked, _ in written if not looked.is_member],
    )
    return written


def _finite(found: Sequence[Sequence[float]]) -> None:
    if not all(math.isfinite(value) for values in found for value in values):
        raise ModelError(
            "the model gives probabilities that are no finite numbers: its weights, or those of the adapter, "
            "have diverged or were lost"
        )


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
