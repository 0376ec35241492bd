"""Looking things up by name, with suggestions when there is no such name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TypeVar

from evaluation.errors import UnknownNameError

T = TypeVar("T")


def lookup(kind: str, name: str, known: Mapping[str, T]) -> T:
    """Return `known[name]`; raise UnknownNameError that names near or all known names otherwise."""
    try:
        return known[name]
    except KeyError:
        raise unknown(kind, name, known) from None


def unknown(kind: str, name: str, known: Mapping[str, T]) -> UnknownNameError:
    """The error for a name that is not in `known`."""
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(known)}"
    return UnknownNameError(f"no {kind} is called {name!r}; {hint}")
