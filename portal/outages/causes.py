"""Which errors are an outage, of what, in words: the one place that decides it for workers, pages and API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db.models.fields.files import FieldFile
from django.db.utils import InterfaceError, OperationalError
from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from evaluation.errors import EvaluationError, Fault, outage_of


@dataclass(frozen=True)
class Cause:
    """What is away; `words` end "waiting for …". One that `is_local` concerns a single machine."""

    code: str
    words: str
    is_local: bool = False


HUB = Cause("hub", "the model hub")
STORAGE = Cause("storage", "the site's storage")
# Not the storage's own: it would be one outage with that of all files, which operators would not be told of.
DAMAGED = Cause("damaged_file", "the operators to restore a damaged file")
DATABASE = Cause("database", "the database")
QUEUE = Cause("queue", "the queue")
DISK = Cause("disk", "room on the worker's disk", is_local=True)
MEMORY = Cause("memory", "memory on the worker's machine", is_local=True)
SANDBOX = Cause("sandbox", "a worker that can run generated programs", is_local=True)

_CHUNK = 1 << 20
_BY_CODE = {cause.code: cause for cause in (HUB, STORAGE, DAMAGED, DATABASE, QUEUE, DISK, MEMORY, SANDBOX)}
_AWAY: tuple[tuple[type[BaseException], Cause], ...] = (
    (OperationalError, DATABASE),  # a deadlock or a lock that is held too long is one too
    (InterfaceError, DATABASE),
    (BrokerError, QUEUE),
    (RedisConnectionError, QUEUE),
    (RedisTimeoutError, QUEUE),
)


class StorageError(EvaluationError):
    """The site's storage does not take or give a file."""

    code = STORAGE.code
    fault = Fault.OUTAGE


class DamagedFileError(StorageError):
    """The site's storage gives another file than was stored."""

    code = DAMAGED.code


@dataclass(frozen=True)
class Failure:
    """Why work broke, as it is recorded."""

    code: str
    message: str
    fault: Fault

    @property
    def cause(self) -> Cause:
        """What an outage is of; one that only a newer process knows is of its machine."""
        return _BY_CODE.get(self.code) or Cause(self.code, "the worker's machine", is_local=True)


BROKEN = Failure(
    "worker_error",
    "Something broke on our side. The operators see the details in the worker's log.",
    Fault.CRASH,
)


def failure_of(error: Exception) -> Failure:
    """What an exception in a worker means for the work in hand."""
    away = _away(error)
    if away:
        text = f"{away.words[0].upper()}{away.words[1:]} did not answer."
        return Failure(away.code, text, Fault.OUTAGE)
    # What is behind a storage's error, such as a full disk, is the storage's and not this machine's.
    outage = error if isinstance(error, StorageError) else outage_of(error)
    if outage:
        text = str(error) if isinstance(error, EvaluationError) else str(outage)
        return Failure(outage.code, text, Fault.OUTAGE)
    if isinstance(error, EvaluationError):
        return Failure(error.code, str(error), error.fault)
    return BROKEN


def is_outage(error: BaseException | None) -> bool:
    """Whether the same request may succeed later, because something that it needs is away."""
    return error is not None and (_away(error) is not None or outage_of(error) is not None)


def _away(error: BaseException) -> Cause | None:
    return next((cause for kind, cause in _AWAY if isinstance(error, kind)), None)


def stored_bytes(file: FieldFile) -> Iterator[bytes]:
    """What a stored file holds. Raises StorageError where the storage does not give it."""
    with storage_access(), file.open("rb") as source:
        while chunk := source.read(_CHUNK):
            yield chunk


@contextmanager
def storage_access() -> Iterator[None]:
    """Within this block what goes wrong with files is the storage's fault."""
    try:
        yield
    except storage_errors() as error:
        raise StorageError(f"The site's storage does not give or take a file: {_in_words(error)}.") from error


def storage_errors() -> tuple[type[Exception], ...]:
    """What a storage raises: a folder, or a bucket."""
    try:
        from botocore.exceptions import BotoCoreError, ClientError  # installed only where it is used
    except ImportError:
        return (OSError,)
    return (OSError, BotoCoreError, ClientError)


def _in_words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    # Of what S3 says, its name of the error alone: the rest may name a bucket or a key.
    return getattr(error, "response", {}).get("Error", {}).get("Code") or type(error).__name__
