"""The board's tests start from the portal's people and storage."""

from tests.portal.conftest import (
    as_owner,
    as_reviewer,
    as_stranger,
    owner,
    quick_passwords,
    reviewer,
    storage,
    stranger,
    token,
)

__all__ = [
    "as_owner",
    "as_reviewer",
    "as_stranger",
    "owner",
    "quick_passwords",
    "reviewer",
    "storage",
    "stranger",
    "token",
]
