"""What a process says that is no message, and what the worker says about it."""

from __future__ import annotations

import pytest

from evaluation.wire.messages import VERSION

SPOILED = [
    pytest.param("Loading checkpoint shards: 100%", "not a line of JSON", id="no JSON"),
    pytest.param('["ready"]', "Expected `object`, got `array`", id="no object"),
    pytest.param(
        f'{{"event": "ended", "version": {VERSION}}}', "no message is called 'ended'", id="unknown event"
    ),
    pytest.param(f'{{"event": "done", "version": {VERSION}}}', "malformed message done", id="missing field"),
    pytest.param(
        f'{{"event": "error", "version": {VERSION}, "code": 5, "message": "x", "fault": "input"}}',
        "malformed message error: Expected `str`, got `int` - at `$.code`",
        id="wrong type",
    ),
    pytest.param(
        f'{{"event": "ready", "version": {VERSION + 1}}}',
        f"version {VERSION + 1} where {VERSION} is spoken",
        id="newer version",
    ),
    pytest.param(
        '{"event": "done"}', f"version None where {VERSION} is spoken", id="before there were versions"
    ),
]
