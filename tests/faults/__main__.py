"""`python -m tests.faults`: strikes a whole site 150 times and says what became of the work.

A line for each fault with the seconds until the work was done once the fault was over; then what was lost,
doubled, stuck, wrongly failed or left behind (exit status 1 if anything was), and the recovery times. Linux,
as root: it mounts small disks of its own. It takes about half an hour.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import django

COUNT = 150


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--list", action="store_true", help="print what would be injected, and stop")
    parser.add_argument("--only", default="", metavar="TEXT", help="all faults whose line has this text")
    parser.add_argument("--count", type=int, default=COUNT, help="of all there are, by the seed's choice")
    parser.add_argument("--part", default="1/1", metavar="K/N", help="every Nth of them, from the Kth on")
    parser.add_argument("--seed", type=int, default=0, help="chooses the faults and their order")
    parser.add_argument("--logs", type=Path, help="a folder to keep the processes' logs in")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="flowertune-faults-") as folder:
        os.environ |= _environment(Path(folder))
        # What these import reads the settings, which read the environment.
        django.setup()
        from tests.faults.hub import Hub
        from tests.faults.injecting import inject, keep_logs
        from tests.faults.parts import running
        from tests.faults.table import INJECTIONS

        chosen = [one for one in INJECTIONS if options.only in str(one)]
        if not options.only:
            chosen = random.Random(options.seed).sample(chosen, min(options.count, len(chosen)))
        first, step = map(int, options.part.split("/"))
        chosen = chosen[first - 1 :: step]
        if options.list:
            print("\n".join(map(str, chosen)))
            return 0
        with Hub() as hub, running(Path(folder), hub) as parts:
            try:
                return inject(chosen, parts)
            finally:
                if options.logs:
                    keep_logs(parts, options.logs)


def _environment(folder: Path) -> Mapping[str, str]:
    var, services = folder / "var", folder / "services"
    return {
        "DEBUG": "0",
        "HTTPS": "0",
        "STAFF_SECOND_FACTOR": "0",
        "VAR_DIR": str(var),
        "TMPDIR": str(var / "tmp"),
        "EMBEDDED_STATE_DIR": str(services),
        "HF_HOME": str(var / "hub"),
        "HF_HUB_DISABLE_XET": "1",
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "EVALUATION_DATA": "demonstration",
        "EVALUATION_PRECISION": "fp32",
        "EVALUATION_LEASE_SECONDS": "3",
        "EVALUATION_STALL_SECONDS": "5",
        "TRAINING_STALL_SECONDS": "5",
        "SUBMISSIONS_PER_DAY": "100000",
        "UPLOADS_OPEN": "1000",
        "WEBHOOKS_TO_LOOPBACK": "1",
        "OMP_NUM_THREADS": "1",
    }


if __name__ == "__main__":
    sys.exit(main())
