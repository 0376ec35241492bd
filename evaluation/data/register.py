"""The register: which rows from the hub are the official ones, where this project knows no digest itself.

A name is registered once: whoever sees its rows first decides, and other rows are refused by name from then
on. Each machine keeps a file; a site keeps a register of its own, which decides there.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import msgspec
import platformdirs

from evaluation.errors import DataError
from evaluation.wire.registration import Registration

ADOPT = "python -m evaluation data --adopt"


class OtherRowsError(DataError):
    """Rows from the hub are not those that a register holds under their name."""

    def __init__(self, recorded: Registration, found: Registration, remedy: str = "") -> None:
        who = f"adopted by {recorded.by}" if recorded.by else "taken at first sight"
        super().__init__(
            f"the rows of {recorded.name} are not the registered ones: recorded digest "
            f"{recorded.digest[:12]} of {recorded.rows:,} rows from {recorded.origin} ({who}, "
            f"{recorded.at[:10]}), found {found.digest[:12]} of {found.rows:,} rows from {found.origin}. "
            "Results on the two do not compare. If the hub or its cache on this machine gives other files "
            f"than it should, mend that (HF_ENDPOINT, HF_HOME). {remedy}".rstrip()
        )


class Register(Protocol):
    """What `evaluation.data` asks of a register."""

    def of(self, name: str) -> Registration | None:
        """What is registered under a name."""
        ...

    def record(self, found: Registration) -> Registration:
        """Register rows unless their name is taken; returns what is registered.

        Raises OtherRowsError where it is taken by other rows.
        """
        ...


class Given:
    """Registrations that somebody else looked up. What is recorded in it is not kept."""

    def __init__(self, registrations: Sequence[Registration] = ()) -> None:
        self._known = {known.name: known for known in registrations}

    def of(self, name: str) -> Registration | None:
        return self._known.get(name)

    def record(self, found: Registration) -> Registration:
        return same(self._known.get(found.name, found), found, "Whoever keeps the register decides.")


class RegisterFile:
    """A register in a JSON file, safe against several processes of one machine."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or default_path()

    def of(self, name: str) -> Registration | None:
        return self.all().get(name)

    def all(self) -> dict[str, Registration]:
        """Every registration by its name. Raises DataError where the file is not as `record` leaves it."""
        try:
            known = msgspec.json.decode(self.path.read_bytes(), type=dict[str, Registration])
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError, msgspec.MsgspecError) as error:
            raise DataError(f"the register {self.path} cannot be read: {error}") from error
        if other := next((name for name, found in known.items() if found.name != name), None):
            raise DataError(f"the register {self.path} cannot be read: it has {known[other].name} as {other}")
        return known

    def record(self, found: Registration) -> Registration:
        remedy = (
            f"To have the new rows for {found.name} instead, and no result on the old ones any more, delete "
            f"its entry from {self.path}"
        )
        known = self.of(found.name)
        if known is None:
            with self._locked():
                others = self.all()
                known = others.get(found.name)
                if known is None:
                    self._write(others | {found.name: found})
        return same(known, found, remedy) if known else found

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.with_name(f"{self.path.name}.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise DataError(
                f"the register {self.path} cannot be written: {error.strerror}; another place can be named "
                "by EVALUATION_REGISTER"
            ) from error

    def _write(self, known: dict[str, Registration]) -> None:
        content = {name: asdict(known[name]) for name in sorted(known)}
        draft = self.path.with_name(f"{self.path.name}.partial")
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")
        draft.replace(self.path)  # whole or not at all


def default_path() -> Path:
    """EVALUATION_REGISTER, else `flowertune/data-register.json` in the user's folder of data."""
    named = os.environ.get("EVALUATION_REGISTER")
    return Path(named) if named else platformdirs.user_data_path("flowertune") / "data-register.json"


def same(recorded: Registration, found: Registration, remedy: str) -> Registration:
    """What is recorded, where it is of the same rows. Raises OtherRowsError."""
    if recorded.digest != found.digest:
        raise OtherRowsError(recorded, found, remedy)
    return recorded


def now() -> str:
    """This moment, as registrations have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
