"""The errors that this package raises on purpose, and what each means to its caller."""


class EvaluationError(Exception):
    """Base of all errors raised on purpose; its text is fit to be shown to the user.

    `code` is a stable identifier for programs. `retryable` says whether the same call may
    succeed later or elsewhere without a change to its input.
    """

    code = "evaluation_error"
    retryable = False


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
    retryable = True


class CheckpointError(EvaluationError):
    """An adapter is unreadable or does not fit its base model."""

    code = "checkpoint"


class OutOfMemoryError(EvaluationError):
    """The device ran out of memory; the text says what was tried."""

    code = "out_of_memory"
    retryable = True


class EngineCrashError(EvaluationError):
    """The engine or its process ended unexpectedly: the machine's fault, not the submission's."""

    code = "engine_crash"
    retryable = True


class SandboxError(EvaluationError):
    """Generated programs cannot be run in isolation here; the text says what is missing and how to get it."""

    code = "sandbox"
    retryable = True


class WireError(EvaluationError):
    """A line between two processes is no message that the reader knows; the text says what is wrong with it.

    The fault is the machine's, where a process runs an older version of this project or spoils its output.
    """

    code = "wire"
    retryable = True
