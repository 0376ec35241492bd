"""The errors that this package raises on purpose, and what each means to its caller."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from evaluation.backports import StrEnum


class Fault(StrEnum):
    """Where an error lies, which decides what becomes of the work.

    `input`: in what was asked; another try gives the same. `outage`: in what the work needs (disk, memory,
    hub, storage); it waits and tries again. `crash`: a process broke, and why is not known; it is tried
    again a few times.
    """

    INPUT = "input"
    OUTAGE = "outage"
    CRASH = "crash"


class EvaluationError(Exception):
    """Base of all errors raised on purpose; its text is fit to be shown to the user.

    `code` is a stable identifier for programs.
    """

    code = "evaluation_error"
    fault = Fault.INPUT

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later or elsewhere without a change to its input."""
        return self.fault is not Fault.INPUT


class UnknownNameError(EvaluationError):
    """A challenge, benchmark, engine or protocol that does not exist; the text suggests near ones."""

    code = "unknown_name"


class DataError(EvaluationError):
    """Benchmark or training data is missing or malformed; the text names file, row and column."""

    code = "data"


class ModelError(EvaluationError):
    """A base model cannot be found or loaded; the text says which and how to get it."""

    code = "model"


class HubError(ModelError):
    """The model hub is out of reach or did not deliver; it may do so later."""

    code = "hub"
    fault = Fault.OUTAGE


class CheckpointError(EvaluationError):
    """An adapter is unreadable or does not fit its base model."""

    code = "checkpoint"


class OutOfMemoryError(EvaluationError):
    """The work needs more memory than the device has; the text says what was tried."""

    code = "out_of_memory"
    fault = Fault.CRASH


class MemoryTakenError(OutOfMemoryError):
    """The memory that was lacking is others', or the system ended the process to get some."""

    code = "memory"
    fault = Fault.OUTAGE


class DiskError(EvaluationError):
    """The disk is full, or does not read and write."""

    code = "disk"
    fault = Fault.OUTAGE


class EngineCrashError(EvaluationError):
    """The engine or its process ended unexpectedly, and nothing says that the machine is to blame."""

    code = "engine_crash"
    fault = Fault.CRASH


class SandboxError(EvaluationError):
    """Generated programs cannot be run in isolation here; the text says what is missing and how to get it."""

    code = "sandbox"
    fault = Fault.OUTAGE


class WireError(EvaluationError):
    """A line between two processes is no message that the reader knows; the text says what is wrong with it.

    The fault is the machine's, where a process runs an older version of this project or spoils its output.
    """

    code = "wire"
    fault = Fault.CRASH


# What a file system says when it is full, broken or away, whatever was asked of it.
_DISK = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EIO,
        errno.EROFS,
        errno.ESTALE,
        errno.ENODEV,
        errno.ENOTCONN,
        errno.EMFILE,
        errno.ENFILE,
    }
)


def outage_of(error: BaseException) -> EvaluationError | None:
    """The outage that is behind an error, by itself or by what it was raised from; None where there is none.

    A full disk goes before what failed because of it: a download that could not be written is no fault of
    the hub.
    """
    chain = list(_chain(error))
    for behind in chain:
        if isinstance(behind, OSError) and behind.errno in _DISK:
            return DiskError(f"The disk does not take or give what it should: {behind.strerror}.")
        if isinstance(behind, MemoryError) or (isinstance(behind, OSError) and behind.errno == errno.ENOMEM):
            return MemoryTakenError("The machine has no memory left.")
    for behind in chain:
        if isinstance(behind, EvaluationError) and behind.fault is Fault.OUTAGE:
            return behind
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from, the outermost first."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
