"""When the last backup was made, as whoever makes one writes it down."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from django.conf import settings

LAST_BACKUP = "last-backup.json"
"""In VAR_DIR; whoever makes a backup writes `{"made_at": "2026-11-29T12:00:00+00:00"}` there."""


def made_at() -> datetime | None:
    """None without a record, or with one that cannot be read."""
    try:
        return datetime.fromisoformat(
            json.loads((Path(settings.VAR_DIR) / LAST_BACKUP).read_text())["made_at"]
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
