"""Where rows are found that an adapter cannot have trained on but that are of its training set's sources."""

from __future__ import annotations

from types import MappingProxyType

FEWEST = 20
"""Rows of each kind: with fewer, intervals say nothing."""

SAME_SOURCE = MappingProxyType({"finance": ("fpb", "fiqa", "tfns")})
"""By challenge, the benchmarks whose items come from sources of its training set."""
