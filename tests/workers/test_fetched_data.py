"""The data sets that a worker fetches for a challenge: what a protocol asks, each once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from evaluation import rules
from evaluation.benchmarks import Benchmark
from tests import second_protocol
from workers import evaluate


def test_a_new_protocol_fetches_what_it_asks_beyond_the_old(
    monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path
) -> None:
    second_protocol.register(monkeypatch)
    settings.VAR_DIR = tmp_path
    fetched: list[list[str]] = []

    def export(_location: None, folder: Path, *, benchmarks: Sequence[Benchmark]) -> list[Path]:
        fetched.append([benchmark.slug for benchmark in benchmarks])
        written = [folder / f"{benchmark.file}.jsonl" for benchmark in benchmarks]
        for path in written:
            path.write_text("{}\n")
        return written

    monkeypatch.setattr("evaluation.data.export", export)
    for number in (1, 1, 2, 1):
        folder = evaluate._fetched_data(rules.of("finance", number))
    assert fetched == [["fpb", "fiqa", "tfns"], [second_protocol.ADDED]]
    assert sorted(path.stem for path in folder.iterdir()) == ["fiqa", "fpb", "headlines", "tfns"]
