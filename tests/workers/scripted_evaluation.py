"""A real process that speaks as `python -m evaluation.server` does, by a script of the test's.

`script.json` in the model's folder says what happens after how many scores of a job: `die_after` or
`hang_after` so many, `spoil_after` so many with a `line` that is no message, or `wait_after` so many for a
file `go` beside the script; each takes `pause` seconds. A `note` is told with the loading. `job` is an id to
speak of instead of the job's own. The jobs that it got are kept beside the script.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from evaluation.wire.evaluating import JOBS, Done, Job, Loading, Noted, Ready, Scored
from evaluation.wire.messages import Message, dump


def main() -> None:
    say(dump(Ready(os.getpid())))
    for line in sys.stdin:
        job = JOBS.parse(line)
        assert isinstance(job, Job)
        folder = Path(job.model)
        script = json.loads((folder / "script.json").read_text())
        with (folder / "jobs.jsonl").open("a") as jobs:
            jobs.write(line)
        named = script.get("job", job.job)
        tell(Loading(named))
        if "note" in script:
            tell(Noted(None, "warning", script["note"]))
        for number, benchmark in enumerate(job.benchmarks):
            act(script, number, folder)
            items = Path(job.output) / f"{benchmark}.jsonl"
            items.write_text('{"correct": true}\n{"correct": false}\n')
            tell(scored(named, benchmark, str(items)))
        act(script, len(job.benchmarks), folder)
        tell(Done(named, {"precision": job.precision}))


def act(script: dict[str, Any], number: int, folder: Path) -> None:
    time.sleep(script.get("pause", 0))
    if script.get("die_after") == number:
        os.kill(os.getpid(), signal.SIGKILL)
    if script.get("spoil_after") == number:
        say(script["line"])
    if script.get("hang_after") == number:
        time.sleep(600)
    while script.get("wait_after") == number and not (folder / "go").exists():
        time.sleep(0.05)


def scored(job: str, benchmark: str, items: str) -> Scored:
    return Scored(
        job=job,
        benchmark=benchmark,
        value=0.5,
        standard_error=0.1,
        n=2,
        correct=1,
        unscored=0,
        data="demonstration",
        data_digest="sha256:0",
        available=2,
        official=False,
        unofficial_reasons=("demonstration data",),
        correct_bits=b"\x80",
        scored_bits=b"\xc0",
        seconds=1.0,
        tokens=10,
        tokens_per_second=10.0,
        energy_joules=None,
        energy_net_joules=None,
        energy_method="",
        items=items,
    )


def tell(message: Message) -> None:
    say(dump(message))


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 -- what the worker reads


if __name__ == "__main__":
    main()
