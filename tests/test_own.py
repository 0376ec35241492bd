"""Test processes beside each other, and what is left of one that is killed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests import own

# A test process in the middle of a test: it has started a program in a session of its own.
IN_A_TEST = """
import subprocess
from tests import own
mine = own.take()
program = subprocess.Popen(["sleep", "600"], start_new_session=True)
print(mine.number, mine.var_dir, mine.guardian.pid, program.pid, flush=True)
program.wait()
"""
PATIENCE = 60.0


def start() -> tuple[subprocess.Popen[str], int, Path, list[int]]:
    """A test process, its number, its folder, and the processes that it brought."""
    process = subprocess.Popen(
        [sys.executable, "-c", IN_A_TEST], cwd=own.ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    number, folder, *brought = process.stdout.readline().split()
    return process, int(number), Path(folder), [int(pid) for pid in brought]


def end(process: subprocess.Popen[str]) -> None:
    """Kill it, and do not wait for what it started."""
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def living(pids: list[int]) -> list[int]:
    return [
        pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    ]


def test_a_killed_test_process_leaves_no_process_and_no_folder_and_its_number_is_free_again() -> None:
    beside, taken, _, _ = start()
    killed, number, folder, brought = start()
    assert number != taken
    end(killed)
    deadline = time.monotonic() + PATIENCE
    while living(brought):
        assert time.monotonic() < deadline, "the guardian has not cleared up"
        time.sleep(0.05)
    assert not folder.exists()

    again, same, _, _ = start()
    assert same == number
    end(beside)
    end(again)


def test_the_number_of_a_killed_process_is_kept_until_its_programs_are_gone() -> None:
    killed, number, _, (guardian, program) = start()
    psutil.Process(guardian).suspend()
    try:
        end(killed)
        assert living([program]) == [program]
        meanwhile, other, _, _ = start()
        end(meanwhile)
        assert other != number
    finally:
        psutil.Process(guardian).resume()


@pytest.mark.django_db
def test_each_process_has_a_database_and_a_broker_number_of_its_own() -> None:
    from django.conf import settings
    from django.db import connection

    number = connection.settings_dict["NAME"].removeprefix("tests_")
    assert settings.REDIS_URL.endswith(f"?db={number}")
    assert (own.STATE / "numbers" / number).exists()
