"""Python's collector of reference cycles, held back while a board comes into being.

It looks through all objects again each time their number has grown by a quarter. A board is a million of them
that all stay: of the time to read one from the cache six sevenths were its.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held_back() -> Iterator[None]:
    """Where another thread holds it back too, the first to end lets it go."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
