"""`python -m tests.perf [NAME …]`: runs the benchmarks and prints one line a comparison."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import tempfile
from pathlib import Path

from portal.environment import read_environment
from portal.machine import embedded

NAMES = (
    "near_duplicates",
    "log_speed",
    "intake_speed",
    "upload_speed",
    "parallel_clients",
    "board_speed",
    "queue_fairness",
    "evaluation_speed",
    "harness_speed",
    "adapters_speed",
    "beside_speed",
    "vllm_speed",
    "protocol_one",
    "protocol_two",
    "flexlora_speed",
    "federated_speed",
)
LARGE = ("board_scale", "migration_locks")
"""Those that take many minutes: by name only."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.perf")
    parser.add_argument(
        "names", nargs="*", choices=[*NAMES, *LARGE, []], help="all but the large ones without a name"
    )
    chosen = parser.parse_args().names or NAMES
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"DEBUG": "1", "VAR_DIR": folder, "DJANGO_SETTINGS_MODULE": "portal.settings"}
        os.environ["EMBEDDED_STATE_DIR"] = str(Path(__file__).resolve().parents[2] / "var" / "test-services")
        print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
        with embedded.running(read_environment()):
            import django

            django.setup()
            from django.conf import settings

            settings.DEBUG = False
            for name in chosen:
                print(f"\n{name}")
                for comparison in importlib.import_module(f"tests.perf.{name}").compare():
                    print(f"  {comparison.line()}", flush=True)


if __name__ == "__main__":
    main()
