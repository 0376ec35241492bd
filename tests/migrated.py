"""A database with every migration applied, made once for a set of migrations; each test process copies it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import psycopg
from psycopg import sql

from evaluation.wire.messages import VERSION as WIRE
from tests import own

_PREFIX = "migrated_"


def template(url: str) -> str:
    """The name of the database in the server at `url` that `CREATE DATABASE` takes as its template."""
    name = _PREFIX + _digest()
    with own.turn("migrations"), psycopg.connect(url, autocommit=True) as server:
        there = [row[0] for row in server.execute("SELECT datname FROM pg_database")]
        if name not in there:
            for old in there:
                if old.startswith(_PREFIX):
                    server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(old)))
            _make(server, url, name)
    return name


def _make(server: psycopg.Connection, url: str, name: str) -> None:
    unfinished = f"{_PREFIX}unfinished"
    server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(unfinished)))
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
        cwd=own.ROOT,
        env=os.environ | {"DATABASE_URL": _at(url, unfinished)},
        check=True,
    )
    server.execute(
        sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(unfinished), sql.Identifier(name))
    )


def _at(url: str, database: str) -> str:
    """The same server's other database: its name is the last part of the path, before the parameters."""
    address, mark, parameters = url.partition("?")
    return f"{address.rpartition('/')[0]}/{database}{mark}{parameters}"


def _digest() -> str:
    """Of the project's migrations, and of the versions of the packages that bring their own."""
    digest = hashlib.sha256()
    for path in [*sorted((own.ROOT / "portal").rglob("migrations/*.py")), own.ROOT / "constraints.txt"]:
        digest.update(_named(path) + path.read_bytes())
    # `migrate` writes down which release it is of, and work begins only where that fits.
    digest.update(f"{version('flowertune-leaderboard')} {WIRE}".encode())
    return digest.hexdigest()[:16]


def _named(path: Path) -> bytes:
    return f"\n{path.relative_to(own.ROOT)}\n".encode()
