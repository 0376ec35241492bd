"""How much is tried of like cases: a part at each push, all with TEST_PROFILE=long (`make test-long`)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

import pytest
from hypothesis import settings

T = TypeVar("T")

LONG = os.environ.get("TEST_PROFILE") == "long"
_SHARE = 5  # of the examples of the long profile, one in so many is tried at each push


def examples(long: int) -> int:
    """Return how many examples a property gets that deserves `long` of them."""
    return long if LONG else max(5, long // _SHARE)


def share(items: Sequence[T]) -> Sequence[T]:
    """Return those of many equal cases that are tried: all of them, or at each push every fifth."""
    return items if LONG else items[::_SHARE]


only_long = pytest.mark.skipif(not LONG, reason="make test-long runs this")
"""For a case beside others of its kind that every push tries."""


def load() -> None:
    """Set what holds for every property that says nothing else."""
    # How long an example takes depends on what else the machine does. At a push the examples are the same
    # each time: a change is judged by what it changed. The long profile looks for new ones.
    settings.register_profile("tests", deadline=None, max_examples=examples(100), derandomize=not LONG)
    settings.load_profile("tests")
