"""Eight adapters of one base model through one warm child process, against scoring and one load alone."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from evaluation.demonstration.base_model import build
from evaluation.rules.protocol import CURRENT
from evaluation.wire.evaluating import EVENTS, Done, Job, Progress, Scored
from evaluation.wire.messages import Ending, dump
from tests.evaluation.conftest import make_adapter
from tests.perf.evaluation_speed import MODEL, ROOT, rows
from tests.perf.measure import Comparison

ADAPTERS, ITEMS = 8, 96
BENCHMARK = "mmlu_stem"


def compare() -> Iterator[Comparison]:
    base = build(MODEL)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = [make_adapter(base, folder / f"adapter{i}", seed=i) for i in range(ADAPTERS)]
        jobs = [_job(base, path, folder / "items") for path in paths]
        (folder / "items").mkdir()
        total, load, scoring = _run(jobs)
    yield Comparison(
        f"{ADAPTERS} adapters, {ITEMS} items each, through one child",
        total,
        "scoring and one load",
        scoring + load,
        f"{total / (scoring + load):.3f} times {scoring:.1f} s of scoring and {load:.1f} s from the start of "
        "the process to its first prompt",
    )


def _job(base: Path, adapter: Path, items: Path) -> Job:
    return Job(
        job=adapter.name,
        model=str(base),
        adapter=str(adapter),
        benchmarks=(BENCHMARK,),
        protocol=CURRENT.number,
        engine="transformers",
        precision="fp32",
        data=str(rows()),
        limit=ITEMS,
        output=str(items),
        registered=(),
        smoke_run=False,
    )


def _run(jobs: list[Job]) -> tuple[float, float, float]:
    """Seconds of all jobs in one child, of its start up to the first prompt, and of scoring alone."""
    start = time.perf_counter()
    load = scoring = 0.0
    with subprocess.Popen(
        [sys.executable, "-m", "evaluation.server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    ) as child:
        assert child.stdin
        assert child.stdout
        for job in jobs:
            child.stdin.write(dump(job) + "\n")
            child.stdin.flush()
            for line in child.stdout:
                event = EVENTS.parse(line)
                if isinstance(event, Progress) and not load:
                    load = time.perf_counter() - start
                elif isinstance(event, Scored):
                    scoring += event.seconds
                elif isinstance(event, Ending):
                    assert isinstance(event, Done), event
                    break
        total = time.perf_counter() - start
        child.stdin.close()
    return total, load, scoring
