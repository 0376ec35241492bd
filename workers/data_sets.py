"""Fetches the data sets that a worker's processes read: those have no network and no hub of their own."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings

from evaluation import data
from evaluation.benchmarks import BENCHMARKS
from evaluation.data import training
from evaluation.rules.challenges import CHALLENGES, TrainingSet
from evaluation.wire.registration import Registration
from portal.baselines.training_rows import DOMAINS_OF_HUB, path_of, training_set_of
from portal.runs.data_register import SiteRegister
from workers.leases import PROGRESS_SECONDS, Lease

_MB = 1024**2


def benchmark_rows(benchmarks: Sequence[str], folder: Path) -> Path:
    """Write the rows of benchmarks into a folder: the hub's, as the site's register has them."""
    wanted = [BENCHMARKS[slug] for slug in benchmarks]
    data.export(None, folder, benchmarks=wanted, register=SiteRegister())
    return folder


def registered(benchmarks: Sequence[str]) -> tuple[Registration, ...]:
    """Which rows of those benchmarks are official on this site, beyond what the project knows."""
    return SiteRegister().known(benchmarks)


def training_rows(name: str, lease: Lease) -> Path:
    """The file of a run's rows, or the folder of all challenges'.

    Training sets of the hub are fetched if they are not here, which is told as progress.
    """
    if name == DOMAINS_OF_HUB:
        return _of_all_domains(lease)
    wanted = training_set_of(name)
    return path_of(name) if wanted is None else _fetched(wanted, lease)


def _of_all_domains(lease: Lease) -> Path:
    """A folder that leads to each challenge's training set by its name."""
    folder = settings.VAR_DIR / "training-sets" / "domains"
    folder.mkdir(parents=True, exist_ok=True)
    for challenge in CHALLENGES.values():
        link = folder / f"{challenge.slug.replace('-', '_')}.jsonl"
        fresh = folder / f".{os.getpid()}.{link.name}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(_fetched(challenge.training_set, lease).absolute())
        fresh.replace(link)
    return folder


def _fetched(wanted: TrainingSet, lease: Lease) -> Path:
    told = -PROGRESS_SECONDS

    def fetched(done: int, total: int) -> None:
        nonlocal told
        if time.monotonic() - told >= PROGRESS_SECONDS:
            told = time.monotonic()
            phase = f"fetching {wanted.hub_id}, {done / _MB:.1f} of {total / _MB:.1f} MB"
            lease.renew({"phase": phase})

    return training.fetch(wanted, settings.VAR_DIR / "training-sets", SiteRegister(), fetched)
