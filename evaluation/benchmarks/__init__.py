"""The benchmarks that this version can evaluate. Light to import: the web process reads it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from evaluation.benchmarks import code, finance, general_nlp, medical
from evaluation.benchmarks.definition import Benchmark
from evaluation.names import lookup

_KNOWN: dict[str, Benchmark] = {
    b.slug: b for b in (*general_nlp.BENCHMARKS, *finance.BENCHMARKS, *medical.BENCHMARKS, *code.BENCHMARKS)
}
BENCHMARKS: Mapping[str, Benchmark] = MappingProxyType(_KNOWN)


def get(slug: str) -> Benchmark:
    """Return the benchmark; raise UnknownNameError with suggestions when there is none."""
    return lookup("benchmark", slug, BENCHMARKS)


__all__ = ["BENCHMARKS", "Benchmark", "get"]
