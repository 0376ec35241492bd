"""What a worker says at its start of the machine that it is on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from evaluation import gpus
from portal.site_checks import of_machine, of_services
from workers import heartbeat


def test_it_says_what_its_machine_lacks_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def wrong_clock() -> Iterator[CheckMessage]:
        yield CheckWarning("This clock is wrong.", hint="Set it.", id="site.W035")

    def nothing() -> Any:
        return iter(())

    monkeypatch.setattr(of_machine, "clock", wrong_clock)
    for name in ("key", "storage", "disk"):
        monkeypatch.setattr(of_services, name, nothing)
    monkeypatch.setattr(gpus, "visible", lambda: ())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    heartbeat.tell_of_this_machine()
    told = [(one.levelname, one.message) for one in caplog.records]
    assert told[0][0] == "ERROR" and "of which the driver sees 0. Compare it with nvidia-smi" in told[0][1]
    assert told[1:] == [("WARNING", "This clock is wrong. Set it.")]
