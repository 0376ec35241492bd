"""A second protocol for tests, which asks one more benchmark of finance."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest

from evaluation import benchmarks
from evaluation.rules import protocol
from evaluation.rules.protocol import Protocol
from leaderboard.reading import snapshots

ADDED = "headlines"


def register(monkeypatch: pytest.MonkeyPatch) -> Protocol:
    """Until the test's end there is a protocol 2, and a benchmark that it alone asks."""
    first = protocol.get(1)
    added = replace(benchmarks.get("tfns"), slug=ADDED, title="Headlines", digest="", file=ADDED)
    lists = {**first.benchmarks, "finance": (*first.benchmarks["finance"], ADDED)}
    second = replace(first, number=2, benchmarks=MappingProxyType(lists))
    monkeypatch.setitem(benchmarks._KNOWN, ADDED, added)
    monkeypatch.setitem(protocol._KNOWN, second.number, second)
    monkeypatch.setattr(snapshots, "_known", {})  # this process's boards of protocol 2 go with it
    return second
