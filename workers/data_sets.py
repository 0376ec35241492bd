"""Fetches the data sets that a worker's processes read: those have no network and no hub of their own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings

from evaluation import data
from evaluation.benchmarks import BENCHMARKS
from evaluation.data import training
from evaluation.wire.registration import Registration
from portal.baselines.training_rows import path_of, training_set_of
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
    """The file of a run's rows; a training set of the hub is fetched if it is not here, told as progress."""
    wanted = training_set_of(name)
    if wanted is None:
        return path_of(name)
    told = -PROGRESS_SECONDS

    def fetched(done: int, total: int) -> None:
        nonlocal told
        if time.monotonic() - told >= PROGRESS_SECONDS:
            told = time.monotonic()
            phase = f"fetching {wanted.hub_id}, {done / _MB:.1f} of {total / _MB:.1f} MB"
            lease.renew({"phase": phase})

    return training.fetch(wanted, settings.VAR_DIR / "training-sets", SiteRegister(), fetched)
