"""Counting GPUs and their energy through NVIDIA's driver, of which there is none where tests run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pynvml
import pytest

from evaluation import gpus, hardware
from evaluation.federated import client_app
from evaluation.federated.config import FederatedConfig
from evaluation.federated.job import prepare
from evaluation.federated.server_app import federate
from evaluation.federated.simulation import client_resources
from evaluation.metering.meter import EnergyMeter
from evaluation.wire.training import Event, RoundEnded

from .loopback import LoopbackGrid


@dataclass
class Driver:
    """The part of NVML that is used, with a GPU that takes 50 J between any two readings."""

    counter: int = 1_000_000

    def nvmlDeviceGetCount(self) -> int:
        return 4

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        if uuid != "GPU-1":
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return uuid

    def nvmlDeviceGetName(self, _device: str) -> str:
        return "H100"

    def nvmlDeviceGetTotalEnergyConsumption(self, _device: str) -> int:
        self.counter += 50_000
        return self.counter


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    nvml = ModuleType("nvml")
    made = Driver()
    for name in ("Count", "HandleByUUID", "Name", "TotalEnergyConsumption"):
        setattr(nvml, f"nvmlDeviceGet{name}", getattr(made, f"nvmlDeviceGet{name}"))
    nvml.NVMLError = pynvml.NVMLError  # type: ignore[attr-defined]
    monkeypatch.setattr(gpus, "_driver", lambda: nvml)
    monkeypatch.setattr(gpus, "visible", lambda: ())
    meter = EnergyMeter(tmp_path / "powercap", tmp_path / "energy", sleep=lambda _: None)
    monkeypatch.setattr(client_app, "EnergyMeter", lambda: meter)
    client_app._meter.cache_clear()
    yield
    client_app._PRESENT.close()
    client_app._meter.cache_clear()


def measured(config: FederatedConfig, output: Path) -> list[tuple[float | None, float | None, str]]:
    """Joules, those above idle, and the counters of each round."""
    rounds = []

    def report(event: Event) -> None:
        if isinstance(event, RoundEnded):
            rounds.append((event.energy_joules, event.energy_net_joules, event.energy_method))

    federate(LoopbackGrid(config.clients), prepare(config, output, report))
    return rounds


@pytest.mark.parametrize(
    ("visible", "count"),
    [(None, 4), ("0,2", 2), ("", 0), ("-1", 0), ("2,-1,0", 1), ("GPU-1, GPU-2,GPU-3", 3)],
)
def test_gpus_are_those_that_the_driver_has_and_the_environment_shows(
    driver: None, visible: str | None, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus.count() == count


@pytest.mark.parametrize(
    ("cores", "devices", "share"), [(16, 0, (16, 0)), (16, 1, (16, 1)), (16, 4, (4, 1)), (2, 4, (1, 1))]
)
def test_there_is_one_client_process_a_gpu(cores: int, devices: int, share: tuple[int, int]) -> None:
    assert client_resources(cores, devices) == {"num_cpus": share[0], "num_gpus": share[1]}


def test_a_rounds_energy_is_what_its_clients_took(
    driver: None, config: FederatedConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "gpu_uuid", lambda: "GPU-1")
    assert measured(replace(config, rounds=2), tmp_path / "out") == [(100.0, None, "NVML of H100")] * 2
    record = json.loads((tmp_path / "out" / "training.json").read_text())
    assert (record["energy_joules"], record["energy_net_joules"]) == (200.0, None)
    assert record["energy_methods"] == ["NVML of H100"]


def test_idle_power_of_a_clients_gpu_is_taken_off_its_training(
    driver: None, config: FederatedConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0

    def later(seconds: float) -> None:
        nonlocal now
        now += seconds

    def looked_at() -> float:
        later(10)
        return now

    # A clock that is looked at every ten seconds, and a second of idleness takes 15 more: 50 J in 10 s of
    # training, and in 25 s before.
    meter = EnergyMeter(tmp_path / "powercap", tmp_path / "energy", looked_at, lambda _: later(15))
    monkeypatch.setattr(client_app, "EnergyMeter", lambda: meter)
    monkeypatch.setattr(hardware, "gpu_uuid", lambda: "GPU-1")
    monkeypatch.setattr(gpus, "visible", lambda: ("GPU-1",))
    ((gross, net, _),) = measured(replace(config, rounds=1), tmp_path / "out")
    assert (gross, net) == (pytest.approx(100), pytest.approx(60)), "of two clients"


def test_a_gpu_that_does_not_count_gives_no_energy(
    driver: None, config: FederatedConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "gpu_uuid", lambda: "MIG-7")
    assert gpus.energy_joules("MIG-7") is None
    assert measured(replace(config, rounds=1), tmp_path / "out") == [
        (None, None, "without NVML of a GPU: its driver tells none")
    ]


@pytest.mark.parametrize(("capability", "computes"), [((7, 5), False), ((8, 0), True), ((12, 0), True)])
def test_gpus_compute_in_bf16_from_ampere_on(
    capability: tuple[int, int], computes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvml = ModuleType("nvml")
    nvml.__dict__.update(
        NVMLError=pynvml.NVMLError,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: f"GPU-{index}",
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetUUID=lambda handle: handle,
        nvmlDeviceGetCudaComputeCapability=lambda handle: capability if handle == "GPU-1" else (9, 0),
        nvmlDeviceGetTotalEnergyConsumption=lambda _handle: 2_000,
        nvmlDeviceGetMemoryInfo=lambda _handle: SimpleNamespace(free=5, total=80),
    )
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(gpus, "_driver", lambda: nvml)
    assert gpus.visible() == ("GPU-0", "GPU-1")
    assert gpus.compute_bf16() is computes
    assert gpus.energy_joules("GPU-0") == 2.0
    assert gpus.free_bytes("GPU-0") == 5
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert gpus.visible() == ("GPU-0",)
    assert gpus.compute_bf16()


def test_the_condition_of_a_gpu_is_what_its_driver_tells_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def told_of_a_whole_gpu(handle: str, *_: object) -> int:
        if handle == "MIG-1":
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return 71

    def reasons(handle: str) -> int:
        idle, thermal, capped = 0x1, 0x20, 0x4
        return told_of_a_whole_gpu(handle) and idle | thermal | capped

    nvml = ModuleType("nvml")
    nvml.__dict__.update(
        NVMLError=pynvml.NVMLError,
        NVML_TEMPERATURE_GPU=0,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetUUID=lambda handle: handle,
        nvmlDeviceGetMemoryInfo=lambda _handle: SimpleNamespace(used=75, total=80),
        nvmlDeviceGetTemperature=told_of_a_whole_gpu,
        nvmlDeviceGetCurrentClocksEventReasons=reasons,
    )
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1,MIG-1")
    monkeypatch.setattr(gpus, "_driver", lambda: nvml)
    assert gpus.conditions() == (
        gpus.Condition("GPU-1", 75, 80, 71, ("heat",)),
        gpus.Condition("MIG-1", 75, 80, None, None),
    )


def test_without_a_driver_there_is_no_gpu_and_no_energy(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", missing)
    assert gpus.count() == 0
    assert gpus.visible() == gpus.conditions() == ()
    assert gpus.compute_bf16(), "the processor does"
    assert gpus.free_bytes("GPU-1") is None
    assert gpus.name_of("GPU-1") is None
    assert gpus.energy_joules("GPU-1") is None
