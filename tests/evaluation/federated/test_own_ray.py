"""A Ray that is slow to start: one line, one longer try, and an error in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluation.errors import EngineCrashError
from evaluation.federated import own_ray

SLOW = "The current node timed out during startup.\nThis could happen because some of the raylet failed"


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """How Ray looked for its node at each start; it fails while `starts` is shorter than it is told."""
    ray = pytest.importorskip("ray")
    from ray._private import services

    seen: list[object] = []

    def init(**_options: object) -> None:
        seen.append(services.get_node)
        if len(seen) < 2:
            raise Exception(SLOW)

    monkeypatch.setattr(ray, "init", init)
    return seen


def test_a_slow_start_is_a_line_and_a_longer_try(
    starts: list[object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own_ray.start(str(tmp_path), 1, 0)
    assert len(starts) == 2
    assert starts[0] is not starts[1]
    (said,) = caplog.messages
    assert said.startswith("Ray has not started (The current node timed out") and "\n" not in said
    assert (tmp_path / "r").stat().st_mode & 0o777 == 0o700


def test_a_ray_that_never_starts_is_an_error_in_one_line(
    starts: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(**_options: object) -> None:
        raise Exception(SLOW)

    monkeypatch.setattr("ray.init", fails)
    with pytest.raises(
        EngineCrashError, match="does not start on this machine: The current node timed"
    ) as it:
        own_ray.start(str(tmp_path), 1, 0)
    assert "\n" not in str(it.value)
    assert starts == []


def test_with_patience_ray_is_asked_until_its_node_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    services = pytest.importorskip("ray._private.services")
    answers = iter([RuntimeError("not yet"), RuntimeError("not yet"), {"labels": {}}])

    def get_node(_address: str, _node: str) -> object:
        answer = next(answers)
        if isinstance(answer, RuntimeError):
            raise answer
        return answer

    monkeypatch.setattr(services, "get_node", get_node)
    with own_ray._patience(60):
        assert services.get_node("address", "node") == {"labels": {}}
    assert services.get_node is get_node
