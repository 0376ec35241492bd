"""A run's state between rounds, on disk: an interrupted run goes on from its last finished round.

The folder holds `run.json`, what the run is, and `progress.safetensors`, the adapter and the server's arrays
after a round with the records of all rounds in its header. Each file is replaced in one step, so that a
process killed at any moment leaves the last finished round. Nothing is ever unpickled.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from evaluation.errors import DataError, EvaluationError
from evaluation.federated.config import BEFORE_TEMPLATES, THREADS, TOP_K, FederatedConfig
from evaluation.wire.training import Round

if TYPE_CHECKING:
    from evaluation.federated.rounds import Progress

_RUN, _PROGRESS, _HEADER = "run.json", "progress.safetensors", "progress"
_BEFORE: Mapping[str, Any] = {
    "threads": THREADS,
    "devices": {"ranks": [], "steps": [], "speeds": [], "deadline": 0.0, "drop_out": 0.0, "poisoned": 0},
    "compression": "none",
    "top_k": TOP_K,
    "own_held_out": 0,
    "keep_every": 0,
    "canaries": 0,
}
"""How runs were trained that were kept without these settings; those of the template are apart."""
_BEFORE_CLIENT_LOSSES: Mapping[str, Any] = {"client_losses": (), "simulated_time": None}
_BEFORE_IDLE_POWER: Mapping[str, Any] = {"energy_net_joules": None, "energy_method": ""}
# Where a model or its rows lie says nothing about what they are; the rows' identity does.
_PLACES = ("model", "train_data")


@dataclass(frozen=True)
class RunState:
    """The folder of one run's state. `rows` is the identity of the training rows."""

    folder: Path
    config: FederatedConfig
    rows: str

    def open(self, *, resume: bool) -> None:
        """Make the folder this run's, or see that it is.

        Raises EvaluationError when it holds progress and `resume` is not asked for, or another run's, with
        the names of the settings that differ.
        """
        run = self.folder / _RUN
        if not (self.folder / _PROGRESS).is_file():
            self._begin()
            return
        if not resume:
            raise EvaluationError(f"{self.folder} holds an unfinished run; --resume goes on with it")
        try:
            kept = json.loads(run.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"the state in {self.folder} cannot be read: {error}") from error
        if not isinstance(kept, dict):
            raise DataError(f"the state in {self.folder} cannot be read: {_RUN} holds no object")
        # What was kept before these were settings goes on as it was trained until then.
        before = {} if "template" in kept else BEFORE_TEMPLATES
        different = _different({**_BEFORE, **before, **kept}, self._identity())
        if different:
            raise EvaluationError(
                f"{self.folder} holds another run: {', '.join(different)} differ; "
                "use its settings or another folder"
            )

    def save(self, progress: Progress) -> None:
        """Keep a finished round. Arrays keep their types; nothing is rounded."""
        from safetensors.numpy import save

        header = {
            "round": progress.round,
            "records": [asdict(record) for record in progress.records],
            "state": {group: sorted(arrays) for group, arrays in progress.strategy.items()},
            "homes": sorted(progress.homes),
        }
        tensors = {f"adapter/{name}": array for name, array in progress.adapter.items()}
        for group, arrays in progress.strategy.items():
            tensors |= {f"state/{group}/{name}": array for name, array in arrays.items()}
        for client, arrays in progress.homes.items():
            tensors |= {f"home/{client}/{name}": array for name, array in arrays.items()}
        _replace(self.folder / _PROGRESS, save(tensors, {_HEADER: json.dumps(header, allow_nan=False)}))

    def load(self) -> Progress | None:
        """The last finished round, None before the first. Raises DataError when the file is damaged."""
        path = self.folder / _PROGRESS
        if not path.is_file():
            return None
        from safetensors import SafetensorError, safe_open

        from evaluation.federated.rounds import Progress

        try:
            with safe_open(path, framework="numpy") as file:
                header = json.loads(file.metadata()[_HEADER])
                kept = _sorted_out({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
            kept_records = [
                {**_BEFORE_CLIENT_LOSSES, **_BEFORE_IDLE_POWER, **record} for record in header["records"]
            ]
            records = msgspec.convert(kept_records, tuple[Round, ...])
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"the state in {path} is damaged: {error}") from error
        return Progress(
            round=int(header["round"]),
            adapter=dict(sorted(kept.adapter.items())),
            strategy={group: kept.state.get(group, {}) for group in header["state"]},
            homes={client: kept.homes.get(str(client), {}) for client in header.get("homes", ())},
            records=records,
        )

    def _begin(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _replace(self.folder / _RUN, json.dumps(self._identity(), indent=1).encode())
        except OSError as error:
            raise EvaluationError(
                f"the state folder {self.folder} cannot be made: {error.strerror}"
            ) from error

    def _identity(self) -> dict[str, Any]:
        settings = {name: value for name, value in self.config.as_dict().items() if name not in _PLACES}
        return settings | {"training rows": self.rows}


@dataclass(frozen=True)
class _Tensors:
    """Those of a file, by what they are."""

    adapter: dict[str, Any] = field(default_factory=dict)
    state: dict[str, dict[str, Any]] = field(default_factory=dict)
    homes: dict[str, dict[str, Any]] = field(default_factory=dict)


def _sorted_out(tensors: Mapping[str, Any]) -> _Tensors:
    kept = _Tensors()
    for name, array in tensors.items():
        kind, _, rest = name.partition("/")
        if kind == "adapter":
            kept.adapter[rest] = array
        else:
            group, _, own = rest.partition("/")
            (kept.homes if kind == "home" else kept.state).setdefault(group, {})[own] = array
    return kept


def _different(kept: Mapping[str, Any], asked: Mapping[str, Any], within: str = "") -> list[str]:
    """The names of settings that are not the same, those within a setting as `partition.alpha`."""
    names = []
    for name in sorted(kept.keys() | asked.keys()):
        one, other = kept.get(name), asked.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            names += _different(one, other, f"{within}{name}.")
        elif one != other:
            names.append(f"{within}{name}")
    return names


def _replace(path: Path, content: bytes) -> None:
    """Write a file in one step, on disk before it takes its name."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
