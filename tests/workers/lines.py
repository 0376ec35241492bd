"""What a process says that is no message, and what the worker says about it."""

from __future__ import annotations

import pytest

SPOILED = [
    pytest.param("Loading checkpoint shards: 100%", "not a line of JSON", id="no JSON"),
    pytest.param('["ready"]', "Expected `object`, got `array`", id="no object"),
    pytest.param('{"event": "ended", "version": 2}', "no message is called 'ended'", id="unknown event"),
    pytest.param('{"event": "done", "version": 2}', "malformed message done", id="missing field"),
    pytest.param(
        '{"event": "error", "version": 2, "code": 5, "message": "x", "retryable": false}',
        "malformed message error: Expected `str`, got `int` - at `$.code`",
        id="wrong type",
    ),
    pytest.param('{"event": "ready", "version": 3}', "version 3 where 2 is spoken", id="newer version"),
    pytest.param('{"event": "done"}', "version None where 2 is spoken", id="before there were versions"),
]
