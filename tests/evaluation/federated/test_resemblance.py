"""Honest trainings that begin alike give near updates, yet never equal ones, as copies are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from evaluation.federated.config import FederatedConfig
from evaluation.federated.job import prepare
from evaluation.federated.server_app import federate
from evaluation.resemblance.factors import AdapterFactors
from evaluation.resemblance.results import Comparison
from evaluation.resemblance.updates import compare

from .loopback import LoopbackGrid


@contextmanager
def trained(config: FederatedConfig, output: Path) -> Iterator[AdapterFactors]:
    federate(LoopbackGrid(config.clients), prepare(config, output, lambda _line: None))
    path = output / "adapter_model.safetensors"
    modules = [f"model.layers.{n}.self_attn.{name}" for n in (0, 1) for name in config.target_modules]
    with path.open("rb") as file:
        yield AdapterFactors(file, path.stat().st_size, dict.fromkeys(modules, 2.0))


def beside(config: FederatedConfig, other: FederatedConfig, folder: Path) -> Comparison:
    with ExitStack() as files:
        one = files.enter_context(trained(config, folder / "one"))
        (update,) = compare(one, [files.enter_context(trained(other, folder / "other"))])
    return update


def test_one_round_more_from_the_same_seed_is_near_and_keeps_its_start(
    config: FederatedConfig, tmp_path: Path
) -> None:
    update = beside(config, replace(config, rounds=3), tmp_path)
    assert update.shared == 4
    assert update.cosine is not None and 0.3 < update.cosine < 0.9999
    assert update.start is not None and update.start > 0.9


def test_another_seed_begins_elsewhere(config: FederatedConfig, tmp_path: Path) -> None:
    update = beside(config, replace(config, seed=8), tmp_path)
    assert update.cosine is not None and abs(update.cosine) < 0.98
    assert update.start is not None and abs(update.start) < 0.75
