"""`python -m tests.fleet.first_process NAME HIDDEN…`: a machine's first process, which does as it is told.

It is process 1 of a namespace of its own, so that a SIGKILL ends the machine with all that runs on it. The
folders of other machines are hidden from it. On standard input comes a JSON object a line; each is answered.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    name, *hidden = sys.argv[1:]
    socket.sethostname(name)
    for folder in hidden:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=4k", "tmpfs", folder], check=True)
    running: dict[str, subprocess.Popen[bytes]] = {}
    for line in sys.stdin:
        print(json.dumps(_answer(running, json.loads(line))), flush=True)


def _answer(running: dict[str, subprocess.Popen[bytes]], asked: dict[str, Any]) -> dict[str, Any]:
    match asked:
        case {"start": name, "command": command, "log": log}:
            with Path(log).open("ab") as output:
                running[name] = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
                )
            return {"pid": running[name].pid}
        case {"run": command, "log": log}:
            with Path(log).open("ab") as output:
                return {
                    "status": subprocess.run(command, stdout=output, stderr=output, check=False).returncode
                }
        case {"end": name}:
            running[name].send_signal(signal.SIGTERM)
            return {"status": running.pop(name).wait()}
        case {"ended": None}:
            return {"ended": [name for name, process in running.items() if process.poll() is not None]}
        case _:
            raise ValueError(f"unknown: {asked}")


if __name__ == "__main__":
    main()
