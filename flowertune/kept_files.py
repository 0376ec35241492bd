"""What the client keeps between calls: tokens and logs by site, how far uploads are. For its user alone."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import platformdirs

from flowertune.errors import ClientError, TemporaryError

# An upload that nobody touches expires on the site after days; what is known of it is of no use then.
_KEPT_SECONDS = 30 * 86400.0
_REMEDY = "Correct or delete it, then run `flowertune login`."


def config_folder() -> Path:
    """`flowertune` in the user's folder of configurations: on Linux ~/.config, or XDG_CONFIG_HOME."""
    return platformdirs.user_config_path("flowertune", appauthor=False)


@dataclass(frozen=True)
class Credentials:
    """Tokens by the site's address, and the address that is meant where none is given."""

    default: str | None = None
    tokens: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls) -> Credentials:
        """Raises ClientError where the file is not as `write` leaves it."""
        content = _read(_credentials_file())
        default, tokens = content.get("default"), content.get("tokens", {})
        is_sound = isinstance(tokens, dict) and all(isinstance(token, str) for token in tokens.values())
        if not is_sound or not (default is None or isinstance(default, str)):
            raise ClientError(f"{_credentials_file()} does not hold what this program wrote. {_REMEDY}")
        return cls(default, tokens)

    def write(self) -> Path:
        """Store them, readable for the user alone, and return where."""
        path = _credentials_file()
        _write(path, {"default": self.default, "tokens": dict(self.tokens)})
        return path

    def with_token(self, url: str, token: str) -> Credentials:
        return Credentials(url, {**self.tokens, url: token})

    def without(self, url: str) -> Credentials:
        tokens = {known: token for known, token in self.tokens.items() if known != url}
        default = self.default if self.default != url else next(iter(tokens), None)
        return Credentials(default, tokens)


@dataclass(frozen=True)
class KeptLogs:
    """By the site's address: the `keys` of its log and the last `head` seen of it, as the site has them."""

    logs: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls) -> KeptLogs:
        """Raises ClientError where the file is not as `write` leaves it."""
        content = _read(_logs_file())
        if not all(isinstance(log, dict) for log in content.values()):
            raise ClientError(f"{_logs_file()} does not hold what this program wrote. Correct or delete it.")
        return cls(content)

    def of(self, log: str) -> Mapping[str, Any]:
        """What is kept of a log, empty where nothing is."""
        kept: Mapping[str, Any] = self.logs.get(log, {})
        return kept

    def with_log(self, log: str, content: Mapping[str, Any]) -> KeptLogs:
        return KeptLogs({**self.logs, log: dict(content)})

    def write(self) -> None:
        _write(_logs_file(), self.logs)


@dataclass(frozen=True)
class Draft:
    """A draft that has the file, and when it was edited last: later, and it may have another file."""

    id: int
    edited_at: str


class Delivery:
    """How far one file's way to one site is: its upload, and the requests that were sent with it.

    Made by `delivery`, which keeps other calls away from it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        content = _read(path)
        upload, requests = content.get("upload"), content.get("requests")
        self.upload: str | None = upload if isinstance(upload, str) else None
        self.is_complete = content.get("complete") is True and self.upload is not None
        self._requests: dict[str, str] = requests if isinstance(requests, dict) else {}
        draft = content.get("draft")
        self.draft: Draft | None = None
        if isinstance(draft, dict) and {"id", "edited_at"} <= draft.keys():
            self.draft = Draft(draft["id"], draft["edited_at"])

    def began(self, upload: str) -> None:
        self.upload, self.is_complete = upload, False
        self._save()

    def completed(self) -> None:
        self.is_complete = True
        self._save()

    def lost(self) -> None:
        """The site does not have the upload any more."""
        self.upload, self.is_complete = None, False
        self._save()

    def stored(self, draft: Draft) -> None:
        """The site keeps the file in a draft; the upload has become part of it."""
        self.draft, self.upload, self.is_complete, self._requests = draft, None, False, {}
        self._save()

    def request_key(self, body: Mapping[str, Any], key: str) -> str:
        """The idempotency key under which `body` was sent before, else `key`, which is kept from now on."""
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        known = self._requests.setdefault(digest, key)
        self._save()
        return str(known)

    def finished(self) -> None:
        """The submission exists: from here on the site itself knows of it."""
        self._path.unlink(missing_ok=True)

    def _save(self) -> None:
        content = {
            "upload": self.upload,
            "complete": self.is_complete,
            "requests": self._requests,
            "draft": asdict(self.draft) if self.draft else None,
        }
        _write(self._path, content)


@contextlib.contextmanager
def delivery(url: str, sha256: str) -> Iterator[Delivery]:
    """The state of sending the file with this digest to `url`, held by one call at a time.

    Raises TemporaryError where another call sends it now.
    """
    folder = config_folder() / "uploads"
    _make(folder)
    _forget_old(folder)
    name = hashlib.sha256(f"{url}\n{sha256}".encode()).hexdigest()[:32]
    with _opened(folder / f"{name}.lock") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TemporaryError(
                "Another flowertune sends this file to the site now. Wait until it is done."
            ) from error
        yield Delivery(folder / f"{name}.json")


def _credentials_file() -> Path:
    return config_folder() / "credentials.json"


def _logs_file() -> Path:
    return config_folder() / "logs.json"


def _read(path: Path) -> dict[str, Any]:
    """The file's JSON object, empty where there is no file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ClientError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ClientError(f"{path} is no JSON. {_REMEDY}") from error
    if not isinstance(content, dict):
        raise ClientError(f"{path} is no JSON object. {_REMEDY}")
    return content


def _write(path: Path, content: Mapping[str, Any]) -> None:
    """Whole or not at all, and from its first byte on for the user alone."""
    _make(path.parent)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(content, file, indent=2)
        draft.replace(path)
    except OSError as error:
        raise ClientError(f"{path} cannot be written: {error.strerror}") from error


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ClientError(f"{folder} cannot be made: {error.strerror}") from error


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ClientError(f"{path} cannot be written: {error.strerror}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _forget_old(folder: Path) -> None:
    oldest = time.time() - _KEPT_SECONDS
    for path in folder.glob("*.json"):
        with contextlib.suppress(FileNotFoundError):  # another call forgot it
            if path.stat().st_mtime < oldest:
                path.unlink()
