"""A real process that speaks as `python -m evaluation.federated --events` does, by a script of the test's.

`script.json` in the state folder says what happens: `die_in` a round, `fail_in` a round with `error`, or
`hang_in` a round. Rounds that were done are kept in the state folder, and gone on from, as the real one does.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("config", "output", "state"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("resume", "events"):
        parser.add_argument(f"--{name}", action="store_true", required=True)
    options = parser.parse_args()
    script = json.loads((options.state / "script.json").read_text())
    config = json.loads(options.config.read_text())
    (options.state / "environment.json").write_text(json.dumps(dict(os.environ)))
    done = options.state / "rounds"
    first = 1 + (int(done.read_text()) if done.exists() else 0)
    say("ready", clients=config["clients"], rows=100, partition=[25] * 4, planned_bytes=4_000, hardware="CPU")
    for number in range(1, first):
        say("round", **measured(number))
    for number in range(first, config["rounds"] + 1):
        act(script, number, options.state)
        say("round", **measured(number))
        done.write_text(str(number))
    shutil.copytree(options.state / "result", options.output)
    say("done", output=str(options.output), wall_seconds=1.0)


def act(script: dict[str, Any], number: int, state: Path) -> None:
    if script.get("die_in") == number and not (state / "died").exists():
        (state / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if script.get("fail_in") == number:
        say("error", **script["error"])
        raise SystemExit(2)
    if script.get("hang_in") == number:
        (state / "hanging").write_text(str(os.getpid()))
        time.sleep(600)


def measured(number: int) -> dict[str, Any]:
    return {
        "round": number,
        "clients": [1, 3],
        "failures": [{"client": 2, "reason": "its loss is not finite"}] if number == 2 else [],
        "examples": 64,
        "learning_rate": 1e-3 / number,
        "train_loss": 3.0 / number,
        "held_out_loss": None,
        "bytes_down": 1_000,
        "bytes_up": 1_000,
        "train_seconds": 2.0,
        "aggregate_seconds": 0.1,
        "communicate_seconds": 0.2,
        "seconds": 2.5,
        "client_peak_rss_bytes": 500_000_000,
        "client_peak_vram_bytes": None,
        "server_peak_rss_bytes": 200_000_000,
        "energy_joules": None,
        "gpu_seconds": None,
        "epsilon": None,
    }


def say(event: str, **values: Any) -> None:
    print(json.dumps({"event": event, **values}), flush=True)  # noqa: T201 -- what the worker reads


if __name__ == "__main__":
    main()
