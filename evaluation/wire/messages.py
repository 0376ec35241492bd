"""How a message becomes a line and a line a message, the same for evaluating and training.

Each line names its message in `event` and carries the version of all of them: a worker that was not restarted
after an update starts processes of the newer code, and a SuperLink's machine has an installation of its own.
"""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

from evaluation.errors import EvaluationError, Fault, WireError, outage_of

VERSION = 6
"""Raised with every change of a message's name or fields."""


@dataclass(frozen=True)
class Message:
    """Base of the messages, frozen dataclasses of what JSON can hold; `event` is their name on the line."""

    event: ClassVar[str]


@dataclass(frozen=True)
class Ending(Message):
    """The last message about a job."""


@dataclass(frozen=True)
class Failed(Ending):
    """There is no result; `code` and `fault` are the error's, or those of the outage behind it.

    `job` is None where none could be read.
    """

    event = "error"

    code: str
    message: str
    fault: Fault
    job: str | None = None

    @classmethod
    def of(cls, error: EvaluationError, job: str | None = None) -> Failed:
        outage = outage_of(error)
        if outage is None:
            return cls(error.code, str(error), error.fault, job)
        return cls(outage.code, str(error), outage.fault, job)


M = TypeVar("M", bound=Message)


class Vocabulary(Generic[M]):
    """The messages that one side sends."""

    def __init__(self, *kinds: type[M]) -> None:
        self.kinds = kinds
        self._by_name = {kind.event: kind for kind in kinds}

    def parse(self, line: str | bytes) -> M:
        """The message of a line. Raises WireError for any line that is not one, or of another version."""
        values = _object(line)
        name = values.pop("event", None)
        kind = self._by_name.get(name) if isinstance(name, str) else None
        if kind is None:
            raise WireError(f"no message is called {name!r}; there are: {', '.join(self._by_name)}")
        strange = values.keys() - {field.name for field in fields(kind)}
        if strange:
            raise WireError(f"a message {name} has no `{min(strange)}`")
        try:
            return msgspec.convert(values, kind)
        except msgspec.ValidationError as error:
            raise WireError(f"a malformed message {name}: {error}") from error


def dump(message: Message) -> str:
    """The message as a line, without its end. Raises ValueError for NaN and infinity, which JSON has not."""
    head = {"event": message.event, "version": VERSION}
    return json.dumps(head | asdict(message), allow_nan=False, default=_text_of)


def _text_of(value: object) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    raise TypeError(f"JSON has nothing for {type(value).__name__}")


def _object(line: str | bytes) -> dict[str, Any]:
    """The line's values without its version, which must be ours."""
    try:
        values = msgspec.json.decode(line, type=dict[str, Any])
    except ValueError as error:  # msgspec's own, and UnicodeDecodeError
        raise WireError(f"not a line of JSON with a message: {error}") from error
    version = values.pop("version", None)
    if version != VERSION:
        raise WireError(
            f"a message of version {version!r} where {VERSION} is spoken: "
            "the two processes run different versions of this project"
        )
    return values
