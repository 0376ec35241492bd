"""Where database and broker are: as configured, else those of the embedded services. Starts nothing."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import conninfo_to_dict

from portal.environment import Environment

ROLE = "flowertune"
POSTGRES_SOCKET = ".s.PGSQL.5432"
VALKEY_SOCKET = "valkey.sock"


# A machine that is lost says nothing, and a kernel waits two hours: its locks would hold up the others' work.
# Both sides give up a connection after half a minute without an answer.
_GIVEN_UP: dict[str, object] = {
    **{"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 4, "tcp_user_timeout": 30_000},
    "options": "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=4"
    " -c tcp_user_timeout=30000",
}


@dataclass(frozen=True)
class Services:
    """Where the database and the broker are, whoever runs them."""

    database_url: str
    redis_url: str


def locate(env: Environment) -> Services:
    """Return the configured URLs; for each that is empty, the embedded server's while it runs."""
    sockets = (env.services_state / "sockets").resolve()
    return Services(env.database_url or postgres_url(sockets), env.redis_url or valkey_url(sockets))


def require_embedded(env: Environment) -> None:
    """Raise ImproperlyConfigured, saying what to do, where an embedded server is needed and does not run."""
    expected = {} if env.database_url else {"PostgreSQL": POSTGRES_SOCKET}
    expected |= {} if env.redis_url else {"Valkey": VALKEY_SOCKET}
    sockets = (env.services_state / "sockets").resolve()
    silent = [name for name, file in expected.items() if not _listens(sockets / file)]
    if silent:
        raise ImproperlyConfigured(
            f"no {' and no '.join(silent)} of {env.services_state} answers. `manage.py serve` starts them"
            " with the site, `python -m portal.machine.embedded start` alone;"
            " or set DATABASE_URL and REDIS_URL."
        )


def postgres_url(sockets: Path) -> str:
    """Return the postgresql:// URL of the embedded server with its socket in this folder."""
    return f"postgresql://{ROLE}@/{ROLE}?host={quote(str(sockets))}"


def valkey_url(sockets: Path) -> str:
    """Return the unix:// URL, as redis-py reads it, of the embedded server with its socket in this folder."""
    return f"unix://{quote(str(sockets / VALKEY_SOCKET))}"


def django_database(url: str) -> dict[str, object]:
    """Return Django's settings of the database at a postgresql:// URL, read as libpq reads it."""
    options = dict(conninfo_to_dict(url))
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    database: dict[str, object] = {key: str(options.pop(name, "")) for key, name in names.items()}
    is_on_network = bool(database["HOST"]) and not str(database["HOST"]).startswith("/")
    return {
        "ENGINE": "portal.database",
        **database,
        "OPTIONS": (_GIVEN_UP if is_on_network else {}) | options,
    }


def celery_broker(url: str) -> str:
    """Return a redis-py URL as Celery spells it: a unix:// socket is redis+socket:// there."""
    if not url.startswith("unix://"):
        return url
    return url.replace("unix://", "redis+socket://", 1).replace("db=", "virtual_host=")


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        try:
            connection.connect(str(path))
        except OSError:  # not there, left by a crash, or another account's
            return False
    return True
