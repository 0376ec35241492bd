"""How values stand in the cache: bytes as they are, everything else as JSON; nothing that could be code.

JSON refuses what it cannot give back; such values have a form of their own (`leaderboard.reading.kept`).
"""

from __future__ import annotations

import json
from typing import Any

from django_redis.exceptions import ConnectionInterrupted
from django_redis.serializers.base import BaseSerializer

_BYTES = b"\x00"  # no JSON begins with it


class BytesOrJson(BaseSerializer):
    """What is no such text, as an earlier release's pickle, is taken for an interrupted read.

    The site goes on without the value, as where the cache is down, and the log says so.
    """

    def dumps(self, value: Any) -> bytes:
        return _BYTES + value if isinstance(value, bytes) else json.dumps(value).encode()

    def loads(self, value: bytes) -> Any:
        if value.startswith(_BYTES):
            return value[len(_BYTES) :]
        try:
            return json.loads(value)
        except ValueError as error:
            raise ConnectionInterrupted(connection=None) from error
