"""`python -m tests.fleet`: a site on three machines that share nothing but their network, struck under load.

Says for each event how long the work took to go on, then what was lost, doubled or left behind, and what
errors readers met (exit status 1 if there is any). Linux, as root: it makes network namespaces. It takes some
minutes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import django


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fleet", description=__doc__)
    parser.add_argument("--pause", type=float, default=1.5, help="seconds between two submissions")
    parser.add_argument("--logs", type=Path, help="a folder to keep the processes' logs in")
    options = parser.parse_args()
    from tests.fleet.machines import HERE, is_possible

    if reason := is_possible():
        print(reason, file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # through all that is to be taken down
    with tempfile.TemporaryDirectory(prefix="flowertune-fleet-") as place:
        folder = Path(place)
        os.environ |= _environment(folder)
        # What these import reads the settings, which read the environment.
        django.setup()
        from tests.fleet.events import strike
        from tests.fleet.machines import Fleet
        from tests.fleet.site import GPU_1, GPU_2, WEB

        folder.chmod(0o711)  # PostgreSQL runs as another account
        with Fleet(folder, (WEB, GPU_1, GPU_2)) as fleet:
            print(f"three machines on {HERE.rpartition('.')[0]}.0/24", flush=True)
            try:
                return strike(fleet, pause=options.pause)
            finally:
                if options.logs:
                    _keep_logs(folder, options.logs)


def _environment(folder: Path) -> dict[str, str]:
    from tests.fleet import services

    address = "10.77.0.1"
    return {
        **services.environment(address),
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "VAR_DIR": str(folder / "people"),
        "SECRET_KEY": "the fleet's own, alike on all machines",
        "SITE_URL": f"http://{address}:8000",
        "ALLOWED_HOSTS": f"{address},testserver",
        "DEBUG": "0",
        "HTTPS": "0",
        "STAFF_SECOND_FACTOR": "0",
        "HF_HUB_DISABLE_XET": "1",
        "EVALUATION_DATA": "demonstration",
        "EVALUATION_PRECISION": "fp32",
        "EVALUATION_LEASE_SECONDS": "10",
        "SUBMISSIONS_PER_DAY": "100000",
        "OMP_NUM_THREADS": "1",
    }


def _keep_logs(folder: Path, kept: Path) -> None:
    for logs in folder.glob("*/logs"):
        shutil.copytree(logs, kept / logs.parent.name, dirs_exist_ok=True)
    for log in folder.glob("*/servers/**/*.log"):
        shutil.copy(log, kept / log.name)


if __name__ == "__main__":
    sys.exit(main())
