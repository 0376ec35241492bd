"""Base models of a worker: what is fetched has room, and the log says what went for it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from evaluation.hub.fetching import Snapshot
from portal.submissions.models import BaseModel
from tests.evaluation.test_hub_cache import hub_cache, left
from workers import base_models

__all__ = ["hub_cache"]


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []

    def fetch(name: str, _fetched: object) -> Snapshot:
        names.append(name)
        return Snapshot(Path("/fetched"), name, "0")

    monkeypatch.setattr(base_models.fetching, "fetch", fetch)
    return names


def test_room_is_made_for_a_model_before_it_is_fetched(
    hub_cache: Path, fetched: list[str], settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.BASE_MODEL_CACHE_BYTES = 3_000
    caplog.set_level(logging.INFO, "workers.base_models")
    model = BaseModel(hub_id="a/more", revision="0" * 40, parameters=900)  # 1,800 bytes
    with base_models.in_use(model):
        assert base_models.model_folder(model, lambda: None) == Path("/fetched")
    assert fetched == [f"a/more@{'0' * 40}"]
    assert left(hub_cache) == {"models--a--new", "datasets--a--rows"}
    assert [message.split(" (")[0] for message in caplog.messages] == ["removed a/old", "removed a/middle"]
    assert caplog.messages[0].endswith("from the hub's cache to make room for a/more")


@pytest.mark.parametrize(
    ("budget", "hub_id"), [(0, "a/more"), (1, "a/new")], ids=["no budget", "held already"]
)
def test_nothing_is_removed_without_need(
    hub_cache: Path, fetched: list[str], settings: Any, budget: int, hub_id: str
) -> None:
    settings.BASE_MODEL_CACHE_BYTES = budget
    before = left(hub_cache)
    base_models.model_folder(BaseModel(hub_id=hub_id, revision="", parameters=900), lambda: None)
    assert left(hub_cache) == before
