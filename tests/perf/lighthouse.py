"""`python -m tests.perf.lighthouse`: Lighthouse's scores of the main pages, of a site as in production.

Installs the npm package into var/lighthouse at the first run (needs npm and a network; Lighthouse asks for
Node 22, 20 works too) and drives the installed Chromium. The site has services, files and boards of its own,
which go away afterwards. Lighthouse's default profile: a phone on a slow network, simulated.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from portal.machine import embedded

VERSION = "13.5.0"
ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "var" / "lighthouse"
CATEGORIES = ("performance", "accessibility", "best-practices")
AIM = 95
FLAGS = (
    "--headless=new --no-sandbox --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
PAGES = {
    "home": "/",
    "board": "/leaderboard/finance/",
    "all domains": "/leaderboard/",
    "entry": "/entries/{first}/",
    "compare": "/compare/?entries={first},{second}",
    "benchmark": "/benchmarks/fpb/",
    "method": "/method/",
    "changes": "/changes/",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.perf.lighthouse", description=__doc__)
    parser.add_argument("--entries", type=int, default=300, help="of each of two boards")
    parser.add_argument("--runs", type=int, default=1, help="of each page; the median is printed")
    parser.add_argument("--pages", nargs="*", choices=list(PAGES), default=list(PAGES))
    parser.add_argument("--reports", type=Path, help="folder to keep the reports in")
    options = parser.parse_args()
    program = _installed()
    worst = 100.0
    with _site(options.entries) as (url, numbers):
        for page in options.pages:
            address = url + PAGES[page].format(**numbers)
            runs = [_scores(program, address, options.reports, page) for _ in range(options.runs)]
            found = {name: statistics.median(run[name] for run in runs) for name in CATEGORIES}
            worst = min(worst, *found.values())
            print(f"  {page:<12}" + "".join(f"  {name} {found[name]:.0f}" for name in CATEGORIES), flush=True)
    return 0 if worst >= AIM else 1


def _installed() -> Path:
    program = TOOL / "node_modules" / ".bin" / "lighthouse"
    if not program.exists():
        if shutil.which("npm") is None:
            sys.exit("Lighthouse is installed with npm, which is not here.")
        TOOL.mkdir(parents=True, exist_ok=True)
        command = [
            "npm",
            "install",
            "--no-fund",
            "--no-audit",
            "--prefix",
            str(TOOL),
            f"lighthouse@{VERSION}",
        ]
        subprocess.run(command, check=True)
    return program


@contextmanager
def _site(entries: int) -> Iterator[tuple[str, dict[str, int]]]:
    """A served site with full boards: its address, and the numbers of two entries."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "services"
        os.environ |= {
            "DEBUG": "0",
            "HTTPS": "0",
            "VAR_DIR": folder,
            "EMBEDDED_STATE_DIR": str(state),
            "SITE_URL": f"http://127.0.0.1:{port}",
            "DJANGO_SETTINGS_MODULE": "portal.settings",
        }
        server = None
        try:
            embedded.ensure_postgres(state)
            embedded.ensure_valkey(state)
            numbers = _prepare(entries)
            command = [sys.executable, "-m", "gunicorn", "portal.wsgi", "--bind", f"127.0.0.1:{port}"]
            server = subprocess.Popen([*command, "--threads", "8", "--log-level", "warning"], cwd=ROOT)
            url = f"http://127.0.0.1:{port}"
            _wait(f"{url}/healthz")
            yield url, numbers
        finally:
            if server:
                server.terminate()
                server.wait(10)
            embedded.stop(state)


def _prepare(entries: int) -> dict[str, int]:
    import django

    django.setup()
    from django.core.management import call_command

    from portal.management.seeding.entries import fill
    from portal.submissions.models import Submission

    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    for slug in ("finance", "general-nlp"):
        fill(slug, entries)
    first, second = Submission.objects.filter(challenge="finance").values_list("pk", flat=True)[:2]
    return {"first": first, "second": second}


def _wait(url: str) -> None:
    for _ in range(100):
        try:
            with urllib.request.urlopen(url):  # noqa: S310  # this site's own address
                return
        except urllib.error.URLError:
            time.sleep(0.2)
    sys.exit("The site did not start.")


def _scores(program: Path, url: str, reports: Path | None, page: str) -> dict[str, float]:
    """Scores from 0 to 100 by category. What is below 100 is named on stderr."""
    command = [
        str(program),
        url,
        "--quiet",
        f"--only-categories={','.join(CATEGORIES)}",
        "--output=json",
        f"--chrome-flags={FLAGS}",
    ]
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, "CHROME_PATH": browser}
    )
    if reports:
        reports.mkdir(parents=True, exist_ok=True)
        (reports / f"{page}.json").write_text(done.stdout)
    report: dict[str, Any] = json.loads(done.stdout)
    for name in CATEGORIES:
        category = report["categories"][name]
        below = [
            report["audits"][ref["id"]]["title"]
            for ref in category["auditRefs"]
            if ref["weight"]
            and (report["audits"][ref["id"]]["score"] or 0) < 0.9
            and report["audits"][ref["id"]]["scoreDisplayMode"] in ("binary", "numeric", "metricSavings")
        ]
        for title in below:
            print(f"    {page}, {name}: {title}", file=sys.stderr)
    return {name: 100 * report["categories"][name]["score"] for name in CATEGORIES}


if __name__ == "__main__":
    sys.exit(main())
