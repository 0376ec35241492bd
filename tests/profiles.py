"""How much the property tests try: a little at each push, all with TEST_PROFILE=long (`make test-long`)."""

from __future__ import annotations

import os

from hypothesis import settings

LONG = os.environ.get("TEST_PROFILE") == "long"
_SHARE = 5  # of the examples of the long profile, one in so many is tried at each push


def examples(long: int) -> int:
    """Return how many examples a property gets that deserves `long` of them."""
    return long if LONG else max(5, long // _SHARE)


def load() -> None:
    """Set what holds for every property that says nothing else."""
    # How long an example takes depends on what else the machine does.
    settings.register_profile("tests", deadline=None, max_examples=examples(100))
    settings.load_profile("tests")
