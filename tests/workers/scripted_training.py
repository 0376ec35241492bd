"""A real process that speaks as `python -m evaluation.federated --events` does, by a script of the test's.

`script.json` in the state folder says what happens: `die_in` a round or `linger_in` it, once, `fail_in` a
round with `error`, `hang_in` a round, or `spoil_in` a round with a `line` that is no message; each round
takes `pause` seconds. Rounds that were done are kept in the state folder, and gone on from, as the real one
does.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from evaluation.wire.messages import Failed, dump
from evaluation.wire.training import ClientFailure, Done, Ready, Round, RoundEnded, Shares


def main(prepare: Callable[[Path], None] = lambda _state: None) -> None:
    parser = argparse.ArgumentParser()
    for name in ("config", "output", "state"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("resume", "events"):
        parser.add_argument(f"--{name}", action="store_true", required=True)
    parser.add_argument("--further", action="store_true")
    options = parser.parse_args()
    while True:
        prepare(options.state)
        run(options)
        line = sys.stdin.readline().strip() if options.further else ""
        if not line:
            return
        options = parser.parse_args(json.loads(line))


def run(options: argparse.Namespace) -> None:
    script = json.loads((options.state / "script.json").read_text())
    config = json.loads(options.config.read_text())
    (options.state / "environment.json").write_text(json.dumps(dict(os.environ)))
    done = options.state / "rounds"
    first = 1 + (int(done.read_text()) if done.exists() else 0)
    begun = ready(clients=config["clients"], resumed=first - 1)
    say(dump(replace(begun, hardware=f"CPU, process {os.getpid()}")))
    for number in range(1, first):
        say(dump(RoundEnded.of(measured(number), config["rounds"])))
    for number in range(first, config["rounds"] + 1):
        act(script, number, options.state)
        (options.state / "rounds.new").write_text(str(number))
        (options.state / "rounds.new").rename(done)
        say(dump(RoundEnded.of(measured(number), config["rounds"])))
    shutil.copytree(options.state / "result", options.state / "whole", dirs_exist_ok=True)
    (options.state / "whole").rename(options.output)
    say(dump(Done(str(options.output), 1.0)))


def act(script: dict[str, Any], number: int, state: Path) -> None:
    time.sleep(script.get("pause", 0))
    if script.get("die_in") == number and not (state / "died").exists():
        (state / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if script.get("linger_in") == number and not (state / "lingered").exists():
        (state / "lingered").touch()
        time.sleep(600)
    if script.get("fail_in") == number:
        say(dump(Failed(**script["error"])))
        raise SystemExit(2)
    if script.get("spoil_in") == number:
        say(script["line"])
        time.sleep(600)
    if script.get("hang_in") == number:
        (state / "hanging").write_text(str(os.getpid()))
        time.sleep(600)


def ready(clients: int = 4, resumed: int = 0) -> Ready:
    return Ready(
        strategy="FedAvg",
        startup_seconds=3.0,
        clients=clients,
        rows=25 * clients,
        data="finance.jsonl",
        data_digest="d1",
        trainable_parameters=1_000,
        hardware="CPU",
        planned_bytes=4_000,
        shares=Shares(None, ("",), ((25,),) * clients, 0),
        resumed=resumed,
    )


def measured(number: int) -> Round:
    return Round(
        round=number,
        clients=(1, 3),
        failures=(ClientFailure(2, "its loss is not finite"),) if number == 2 else (),
        examples=64,
        learning_rate=1e-3 / number,
        train_loss=3.0 / number,
        held_out_loss=None,
        client_losses=(),
        bytes_down=1_000,
        bytes_up=1_000,
        messages_down=2,
        messages_up=2,
        train_seconds=2.0,
        aggregate_seconds=0.1,
        communicate_seconds=0.2,
        seconds=2.5,
        simulated_time=None,
        client_peak_rss_bytes=500_000_000,
        client_peak_vram_bytes=None,
        server_peak_rss_bytes=200_000_000,
        gpu_seconds=None,
        energy_joules=None,
        energy_net_joules=None,
        energy_method="",
        epsilon=None,
    )


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 -- what the worker reads


if __name__ == "__main__":
    main()
