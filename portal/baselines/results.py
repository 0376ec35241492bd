"""Makes a finished run a reference entry: submitted, checked and evaluated like any other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
from django.db import transaction

from evaluation.checkpoints import ADAPTER_CONFIG_FILE, ADAPTER_FILE
from evaluation.flowerconfig import CONFIG_FILE
from evaluation.wire.training import Round
from portal.baselines import kept_rounds, queue
from portal.baselines.services import reference_team
from portal.baselines.studies.first_runs import first_entry
from portal.intake.drafts import Cost, Draft, Files
from portal.intake.services import submit
from portal.runs.models import BaselineRun
from portal.submissions.models import Resource, Submission

RECORD_FILE = "training.json"

_MEASURED = {
    Resource.Kind.COMMUNICATION_UP: "communication_up_bytes",
    Resource.Kind.COMMUNICATION_DOWN: "communication_down_bytes",
    Resource.Kind.CLIENT_RSS: "client_peak_rss_bytes",
    Resource.Kind.SERVER_RSS: "server_peak_rss_bytes",
    Resource.Kind.CLIENT_VRAM: "client_peak_vram_bytes",
    Resource.Kind.GPU_TIME: "gpu_seconds",
    Resource.Kind.WALL_TIME: "wall_seconds",
    Resource.Kind.ENERGY: "energy_joules",
    Resource.Kind.ENERGY_NET: "energy_net_joules",
}


def is_complete(folder: Path) -> bool:
    """Whether a run has left its result there: the folder appears at once, with everything in it."""
    return (folder / RECORD_FILE).is_file()


def submit_result(run: BaselineRun, folder: Path) -> Submission:
    """Submit what a claimed run left in `folder` and end the run with it, both or neither.

    Its rounds are recorded with it, where the worker that was to hear of them was lost before, and
    evaluations of the adapters that it kept on its way are queued.

    Raises InvalidSubmission when the checks refuse it, ClaimLostError when the run was cancelled meanwhile.
    """
    record = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
    adapter = folder / ADAPTER_FILE
    with adapter.open("rb") as file:
        draft = Draft(
            submitter=run.requested_by,
            team=reference_team(run.requested_by),
            challenge=run.challenge,
            base_model=run.base_model,
            method=run.method,
            kind=Submission.Kind.REFERENCE,
            description=_description(run, record),
            files=Files(
                adapter=file,
                adapter_size=adapter.stat().st_size,
                adapter_config=(folder / ADAPTER_CONFIG_FILE).read_bytes(),
                config=(folder / CONFIG_FILE).read_bytes(),
            ),
            costs=measured_costs(record),
            repeats=first_entry(run),
        )
        kept = kept_rounds.store(draft, folder)  # before all else, which then takes a moment
        with transaction.atomic():
            _record_rounds(run, record)
            entry = submit(draft)
            kept_rounds.queue(entry, kept)
            queue.succeed(run, entry)
    return entry


def _record_rounds(run: BaselineRun, record: dict[str, Any]) -> None:
    recorded = set(run.round_metrics.values_list("round", flat=True))
    for measured in record["rounds"]:
        if measured["round"] not in recorded:
            queue.record_round(run, msgspec.convert(measured, Round))


def measured_costs(record: dict[str, Any]) -> list[Cost]:
    """The figures of a `training.json` that were measured."""
    return [
        Cost(kind, float(record[name]), Resource.Basis.MEASURED)
        for kind, name in _MEASURED.items()
        if record.get(name) is not None
    ]


def _description(run: BaselineRun, record: dict[str, Any]) -> str:
    config, dataset = run.config, record["dataset"]
    rows = "demonstration rows" if dataset["demonstration"] else f"rows of {dataset['name']}"
    text = (
        f"Trained by this site in baseline run {run.pk}: {config['rounds']} rounds, "
        f"{config['clients_per_round']} of {config['clients']} clients a round, "
        f"on {dataset['rows']:,} {rows}."
    )
    if run.original_id is None:
        return text
    retrained = f"Retrained from the method card of entry {run.original_id}, never from its code."
    return " ".join([retrained, text, *run.assumed])
