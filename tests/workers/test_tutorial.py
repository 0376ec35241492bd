"""The tutorial of docs/, run as it is written: its shell blocks in order, against a site with a worker."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from evaluation.demonstration.installed_model import HUB_ID
from portal.accounts.models import ApiToken
from portal.help.library import FOLDER
from portal.help.markdown import SITE
from portal.review.models import Decision
from portal.submissions.base_models import register_base_model
from portal.submissions.models import Submission
from tests import own
from tests.portal import factories
from tests.workers.conftest import Start

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.model]

LIMIT_SECONDS = 1200.0
"""Of one block: what hangs ends the test, whatever else the machine does."""


@dataclass(frozen=True)
class Block:
    heading: str
    kind: str
    commands: str


def blocks() -> list[Block]:
    """All fenced blocks of the tutorial, with the heading that they stand under."""
    found, heading = [], ""
    text = (FOLDER / "tutorial.md").read_text(encoding="utf-8")
    for part in re.finditer(r"^## ([^\n]+)$|^```([^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        heading = part[1] or heading
        if part[3]:
            found.append(Block(heading, part[2], part[3]))
    return found


class Shell:
    """Runs blocks one after the other, each in a shell that has what the ones before exported."""

    def __init__(self, folder: Path, address: str, token: str) -> None:
        self._folder, self._address, self._token = folder, address, token
        self._state = folder / "state"
        self._state.touch()
        # The environment of somebody who has just opened a terminal, and this checkout's code.
        kept = ("HOME", "LANG", "PATH", "OMP_NUM_THREADS")
        self._environment = {name: os.environ[name] for name in kept if name in os.environ}
        self._environment |= {"PYTHONPATH": str(own.ROOT), "XDG_CONFIG_HOME": str(folder / "config")}

    def run(self, block: Block) -> str:
        commands = block.commands.replace(SITE, self._address)
        script = f"set -euo pipefail\nsource ./state\n{commands}\nexport -p > state\n"
        ran = subprocess.run(
            ["bash", "-c", script],
            cwd=self._folder,
            env=self._environment,
            input=f"{self._token}\n",
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
        )
        assert ran.returncode == 0, f"{block.commands}\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout


@pytest.fixture
def shell(live_server: Any, tmp_path: Path) -> Iterator[Shell]:
    """In a folder that has the project's environment, as its checkout has."""
    (tmp_path / ".venv").symlink_to(own.ROOT / ".venv")
    user = factories.user("newcomer")
    yield Shell(tmp_path, live_server.url, ApiToken.issue(user=user, name="tutorial")[1])


def test_only_what_needs_a_network_is_left_out() -> None:
    left_out = {line for block in blocks() if block.kind != "sh" for line in block.commands.splitlines()}
    assert {line.split("#")[0].strip() for line in left_out} == {"flwr new", "flwr run ."}


@pytest.mark.slow("trains, evaluates and submits with the real small base model")
def test_the_tutorial_leads_to_a_row(smollm2: Path, shell: Shell, start_worker: Start) -> None:
    register_base_model(hub_id=HUB_ID, folder=smollm2)
    start_worker(EVALUATION_LIMIT="2", EVALUATION_LEASE_SECONDS="60")
    said = {}
    for block in (block for block in blocks() if block.kind == "sh"):
        if block.heading == "The row":
            publish(Submission.objects.get())
        said[block.heading] = shell.run(block)
    assert "adapter_model.safetensors" in said["Train"] and "Nothing to report" in said["Check it"]
    assert "in review" in said["Follow it"].lower()
    assert "My first adapter newcomer" in said["The row"]


def publish(submission: Submission) -> None:
    """What the tutorial tells the reviewer to do at the review desk."""
    reviewer = factories.user("reviewer", is_staff=True, is_superuser=True)
    factories.review(submission, reviewer, Decision.Action.PUBLISH)
