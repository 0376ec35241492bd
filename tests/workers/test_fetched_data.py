"""The data sets that a worker fetches for a challenge: what the protocol asks, the rest of it never."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evaluation import rules
from evaluation.benchmarks import BENCHMARKS
from tests import second_protocol
from workers import data_sets


def test_a_protocol_is_given_the_rows_that_it_asks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    second_protocol.register(monkeypatch)
    asked: list[list[str]] = []

    def export(_location: None, _folder: Path, *, benchmarks: Any, register: Any) -> None:
        asked.append([benchmark.slug for benchmark in benchmarks])

    monkeypatch.setattr("evaluation.data.export", export)
    for number in (1, 2):
        data_sets.benchmark_rows(rules.of("finance", number).benchmarks, tmp_path)
    assert asked == [["fpb", "fiqa", "tfns"], ["fpb", "fiqa", "tfns", second_protocol.ADDED]]
    assert second_protocol.ADDED in BENCHMARKS
