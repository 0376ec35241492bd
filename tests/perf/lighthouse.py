"""`python -m tests.perf.lighthouse`: Lighthouse's scores of the main pages, of a site as in production.

Installs the npm package into var/lighthouse at the first run (needs npm and a network; Lighthouse asks for
Node 22, 20 works too) and drives the installed Chromium. The site has services, files and boards of its own,
which go away afterwards. Lighthouse's default profile: a phone on a slow network, simulated.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portal.machine import embedded

VERSION = "13.5.0"
ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "var" / "lighthouse"
CATEGORIES = ("performance", "accessibility", "best-practices", "seo")
AIM = 95
FLAGS = (
    "--headless=new --no-sandbox --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
PAGES = {
    "home": "/",
    "board": "/leaderboard/finance/",
    "charts": "/leaderboard/finance/charts/",
    "all domains": "/leaderboard/",
    "budget": "/budget/",
    "entry": "/entries/{first}/",
    "compare": "/compare/?entries={first},{second}",
    "benchmarks": "/benchmarks/",
    "benchmark": "/benchmarks/fpb/",
    "base models": "/base-models/",
    "method": "/method/",
    "rules": "/rules/",
    "changes": "/changes/",
    "audits": "/audits/",
    "queue": "/queue/",
    "baselines": "/baselines/",
    "documentation": "/docs/",
    "document": "/docs/baselines/",
    "glossary": "/docs/glossary/",
    "findings": "/help/findings/",
    "contact": "/contact/",
    "privacy": "/privacy/",
    "client": "/client/",
    "dumps": "/data/",
    "api": "/api/docs/",
    "log in": "/accounts/login/",
    "sign up": "/accounts/signup/",
}
OF_A_REVIEWER = {
    "submit": "/submit/",
    "my submissions": "/submissions/",
    "submission": "/submissions/{first}/",
    "desk": "/review/",
    "case": "/review/{first}/",
}
ALL = PAGES | OF_A_REVIEWER
NOT_FOR_CRAWLERS = {*OF_A_REVIEWER, "compare", "log in", "sign up"}
"""Search engines are kept out of these on purpose: no score of how well they are found."""


@dataclass(frozen=True)
class Asked:
    """A page, its address, and the session that it is opened in, "" for that of a stranger."""

    page: str
    address: str
    session: str

    @property
    def categories(self) -> tuple[str, ...]:
        return CATEGORIES[:-1] if self.page in NOT_FOR_CRAWLERS else CATEGORIES


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.perf.lighthouse", description=__doc__)
    parser.add_argument("--entries", type=int, default=300, help="of each of two boards")
    parser.add_argument("--runs", type=int, default=1, help="of each page; the median is printed")
    parser.add_argument("--pages", nargs="*", choices=list(ALL), default=list(ALL))
    parser.add_argument("--reports", type=Path, help="folder to keep the reports in")
    options = parser.parse_args()
    program = _installed()
    worst = 100.0
    with _site(options.entries) as (url, numbers, session):
        for page in options.pages:
            address = url + ALL[page].format(**numbers)
            asked = Asked(page, address, session if page in OF_A_REVIEWER else "")
            _wait(address, asked.session)  # a board that is read for the first time is built before
            runs = [_scores(program, asked, options.reports) for _ in range(options.runs)]
            found = {name: statistics.median(run[name] for run in runs) for name in asked.categories}
            worst = min(worst, *found.values())
            print(
                f"  {page:<14}" + "".join(f"  {name} {value:.0f}" for name, value in found.items()),
                flush=True,
            )
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
def _site(entries: int) -> Iterator[tuple[str, dict[str, int], str]]:
    """A served site with full boards: its address, the numbers of two entries, and a reviewer's session."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "services"
        os.environ |= {
            "DEBUG": "0",
            "HTTPS": "0",
            "STAFF_SECOND_FACTOR": "0",
            "VAR_DIR": folder,
            "EMBEDDED_STATE_DIR": str(state),
            "SITE_URL": f"http://127.0.0.1:{port}",
            "DJANGO_SETTINGS_MODULE": "portal.settings",
        }
        server = None
        try:
            embedded.ensure_postgres(state)
            embedded.ensure_valkey(state)
            numbers, session = _prepare(entries)
            command = [sys.executable, "-m", "gunicorn", "portal.wsgi", "--bind", f"127.0.0.1:{port}"]
            server = subprocess.Popen(
                [*command, "--threads", "8", "--timeout", "120", "--log-level", "warning"], cwd=ROOT
            )
            url = f"http://127.0.0.1:{port}"
            _wait(f"{url}/healthz")
            yield url, numbers, session
        finally:
            if server:
                server.kill()
                server.wait()
            embedded.stop(state)


def _prepare(entries: int) -> tuple[dict[str, int], str]:
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command
    from django.test import Client

    from portal.accounts.models import Membership, User
    from portal.management.seeding.entries import fill
    from portal.submissions.models import Submission

    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    for slug in ("finance", "general-nlp"):
        fill(slug, entries)
    first, second = Submission.objects.filter(challenge="finance", kind="community")[:2]
    reviewer = User.objects.create_superuser("reviewer", "reviewer@localhost", secrets.token_urlsafe())
    Membership.objects.create(team=first.team, user=reviewer, role=Membership.Role.OWNER)
    client = Client()
    client.force_login(reviewer, "django.contrib.auth.backends.ModelBackend")
    session = client.cookies[settings.SESSION_COOKIE_NAME].OutputString().partition(";")[0]
    return {"first": first.pk, "second": second.pk}, session


def _wait(url: str, session: str = "") -> None:
    request = urllib.request.Request(url, headers={"Cookie": session})  # noqa: S310
    for _ in range(100):
        try:
            with urllib.request.urlopen(request):  # noqa: S310  # this site's own address
                return
        except urllib.error.URLError:
            time.sleep(0.2)
    sys.exit("The site did not start.")


def _scores(program: Path, asked: Asked, reports: Path | None) -> dict[str, float]:
    """Scores from 0 to 100 by category. What is below 100 is named on stderr."""
    command = [
        str(program),
        asked.address,
        "--quiet",
        f"--only-categories={','.join(asked.categories)}",
        "--output=json",
        f"--chrome-flags={FLAGS}",
        f"--extra-headers={json.dumps({'Cookie': asked.session} if asked.session else {})}",
    ]
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env={**os.environ, "CHROME_PATH": browser}
    )
    if done.returncode:
        print(f"    {asked.page}: not measured: {done.stderr.strip()}", file=sys.stderr)
        return dict.fromkeys(asked.categories, 0.0)
    if reports:
        reports.mkdir(parents=True, exist_ok=True)
        (reports / f"{asked.page}.json").write_text(done.stdout)
    report: dict[str, Any] = json.loads(done.stdout)
    for name in asked.categories:
        category = report["categories"][name]
        below = [
            report["audits"][ref["id"]]["title"]
            for ref in category["auditRefs"]
            if ref["weight"]
            and (report["audits"][ref["id"]]["score"] or 0) < 0.9
            and report["audits"][ref["id"]]["scoreDisplayMode"] in ("binary", "numeric", "metricSavings")
        ]
        for title in below:
            print(f"    {asked.page}, {name}: {title}", file=sys.stderr)
    return {name: 100 * report["categories"][name]["score"] for name in asked.categories}


if __name__ == "__main__":
    sys.exit(main())
