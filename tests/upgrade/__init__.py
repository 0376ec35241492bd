"""A small site of an earlier version, kept as a backup, and what makes it anew."""

from __future__ import annotations

from pathlib import Path

KEPT = Path(__file__).parent / "earlier_site.tar.xz"
"""The folder of a backup, the boards as they stood, in boards.json, and whose code made both."""
ORIGIN = "origin.json"
"""In KEPT: the revision as it was named, its commit and that commit's date."""
SECRET_KEY = "of the small site that upgrades are tested on"
LIMIT = 300_000
"""Bytes that it may have."""
