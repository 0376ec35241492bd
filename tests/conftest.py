"""What every test shares: Django, on services that belong to the tests, and the folder of real data."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path

import django
import pytest
from django.conf import settings
from hypothesis import settings as hypothesis_settings

from portal.machine import embedded

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / "var" / "test-services"

# Plain HTTP and unhashed static files, as in development; production's settings have tests of their own.
VAR_DIR = Path(tempfile.mkdtemp(prefix="flowertune-tests-"))
os.environ |= {"DEBUG": "1", "VAR_DIR": str(VAR_DIR)}

# The conftest files of the folders below import models, so the settings cannot wait for a hook of pytest's.
os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"
os.environ["EMBEDDED_STATE_DIR"] = str(STATE)
if not os.environ.get("DATABASE_URL"):
    embedded.ensure_postgres(STATE, durable=False)
if not os.environ.get("REDIS_URL"):
    embedded.ensure_valkey(STATE)
django.setup()
Path(settings.STATIC_ROOT).mkdir()  # which `collectstatic` would make

# A shell's background job ignores Ctrl-C, and so would the programs that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes depends on what else the machine does.
hypothesis_settings.register_profile("without deadline", deadline=None)
hypothesis_settings.load_profile("without deadline")


def pytest_unconfigure() -> None:
    """The last test session of those that run at a time stops the services."""
    embedded.stop_unless_used(STATE)
    shutil.rmtree(VAR_DIR, ignore_errors=True)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of real data and oracles beside the project, for tests that compare with them."""
    folder = ROOT.parent / "shared"
    if folder.is_dir():
        return folder
    reason = f"needs real data and oracles in {folder}, which is not here"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(autouse=True)
def fresh_boards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests publish and look at once; a server looks for changes of a board once a second."""
    monkeypatch.setattr("leaderboard.reading.snapshots.CHECK_SECONDS", 0)
