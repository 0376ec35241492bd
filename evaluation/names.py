"""Looking things up by name, with suggestions when there is no such name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

from evaluation.errors import UnknownNameError

T = TypeVar("T")


def lookup(kind: str, name: str, known: Mapping[str, T]) -> T:
    """Return `known[name]`; raise UnknownNameError that names near or all known names otherwise."""
    try:
        return known[name]
    except KeyError:
        raise unknown(kind, name, known) from None


def near(name: str, known: Iterable[str]) -> list[str]:
    """Up to three of `known` that `name` may have been meant for, the most likely first."""
    return difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)


def unknown(kind: str, name: str, known: Mapping[str, T]) -> UnknownNameError:
    """The error for a name that is not in `known`."""
    alike = near(name, known)
    hint = f"did you mean {' or '.join(alike)}?" if alike else f"there are: {', '.join(known)}"
    return UnknownNameError(f"no {kind} is called {name!r}; {hint}")
