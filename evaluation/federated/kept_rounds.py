"""Adapters of rounds on the way, kept until the run has its result and is given them as `rounds/<number>`."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evaluation.federated.config import KEPT_FOLDER, FederatedConfig
from evaluation.federated.factors import Arrays

if TYPE_CHECKING:
    from evaluation.federated.adapter import GlobalAdapter


@dataclass(frozen=True)
class KeptRounds:
    """Where they lie while a run goes on: in its state, which outlives a break, or beside its output."""

    folder: Path
    rounds: range

    @classmethod
    def of(cls, config: FederatedConfig, output: Path, state: Path | None) -> KeptRounds:
        """Those of a run."""
        beside = output.with_name(f".{output.name}.{os.getpid()}.rounds")
        return cls(state / KEPT_FOLDER if state else beside, config.kept_rounds)

    def keep(self, server_round: int, adapter: GlobalAdapter, arrays: Arrays) -> None:
        """Write the adapter of a round that is to be kept, in one step."""
        if server_round not in self.rounds:
            return
        partial = self.folder / f".{server_round}.partial"
        adapter.save(arrays, partial)
        shutil.rmtree(self.folder / str(server_round), ignore_errors=True)
        partial.rename(self.folder / str(server_round))

    def give_to(self, result: Path) -> None:
        """Put what was kept into the result."""
        if self.folder.is_dir():
            shutil.copytree(self.folder, result / KEPT_FOLDER, ignore=shutil.ignore_patterns(".*"))

    def delete(self) -> None:
        """Remove what lies here."""
        shutil.rmtree(self.folder, ignore_errors=True)
