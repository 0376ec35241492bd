"""Energy: counters that come round, vanish or are shared, idle power taken off, and how well it repeats.

There is no RAPL and no GPU where tests run: the powercap tree is a made one, and so is the clock.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation import gpus, processor
from evaluation.energy import Energy, Spread, counted, total
from evaluation.metering import meter as metering
from evaluation.metering.counters import GpuCounter, Package, of_processors
from evaluation.metering.meter import EnergyMeter
from evaluation.metering.presence import Presence
from tests.profiles import examples

RANGE = 262_143_328_850  # microjoules, as of a common Xeon


@dataclass
class Machine:
    """A powercap tree with a clock: each package draws so many watts, as set, while time goes by."""

    tree: Path
    now: float = 0.0
    watts: dict[str, float] = field(default_factory=dict)
    used: dict[str, int] = field(default_factory=dict)

    def zone(self, folder: str, name: str, watts: float = 0.0, used: int = 0) -> Path:
        (self.tree / folder).mkdir(parents=True)
        (self.tree / folder / "name").write_text(f"{name}\n")
        (self.tree / folder / "max_energy_range_uj").write_text(f"{RANGE}\n")
        self.watts[folder], self.used[folder] = watts, used
        self.run(0.0)
        return self.tree / folder / "energy_uj"

    def run(self, seconds: float, **watts: float) -> None:
        """Let time go by, with other watts of all packages if given."""
        self.now += seconds
        for folder, usual in self.watts.items():
            self.used[folder] += round(watts.get("each", usual) * seconds * 1e6)
            written = self.tree / folder / "being written"
            written.write_text(f"{self.used[folder] % RANGE}\n")
            written.rename(self.tree / folder / "energy_uj")  # in one step, as the kernel does

    def meter(self, folder: Path) -> EnergyMeter:
        return EnergyMeter(self.tree, folder, lambda: self.now, self.run)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(gpus, "visible", lambda: ())
    monkeypatch.setattr(processor, "name", lambda: "Xeon")
    return Machine(tmp_path / "powercap")


@pytest.fixture
def gpu(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that draws 100 W all the time."""
    monkeypatch.setattr(gpus, "visible", lambda: ("GPU-1",))
    monkeypatch.setattr(gpus, "name_of", lambda _: "H100")
    monkeypatch.setattr(gpus, "energy_joules", lambda uuid: 100 * machine.now if uuid == "GPU-1" else None)


def test_packages_are_counted_once_each_and_nothing_within_them(machine: Machine, tmp_path: Path) -> None:
    machine.zone("intel-rapl:0", "package-0", watts=40)
    machine.zone("intel-rapl:1", "package-1-die-0", watts=60)
    for folder, name in [
        ("intel-rapl:0:0", "core"), ("intel-rapl:0:1", "dram"), ("intel-rapl:2", "psys"),
        ("intel-rapl-mmio:0", "package-0"),
    ]:  # fmt: skip
        machine.zone(folder, name, watts=1000)
    assert [package.key for package in of_processors(machine.tree)] == ["package-0", "package-1-die-0"]
    with machine.meter(tmp_path / "energy").measuring(()) as measured:
        machine.run(10)
    assert measured.energy.joules == pytest.approx(1000)
    assert measured.energy == Energy(
        joules=measured.energy.joules, seconds=10,
        counters=("RAPL package-0 of Xeon", "RAPL package-1-die-0 of Xeon"),
    )  # fmt: skip


def test_idle_power_is_the_lowest_of_some_seconds_and_taken_off(machine: Machine, tmp_path: Path) -> None:
    machine.zone("intel-rapl:0", "package-0", watts=30)
    meter = machine.meter(tmp_path / "energy")
    meter.measure_idle()
    assert machine.now == metering.IDLE_SECONDS
    meter.measure_idle()
    assert machine.now == metering.IDLE_SECONDS, "once in a process"
    with meter.measuring(()) as measured:
        machine.run(20, each=50)
    energy = measured.energy
    assert (energy.joules, energy.net_joules, energy.idle_watts) == tuple(
        pytest.approx(value) for value in (1000, 400, 30)
    )
    assert energy.method == "RAPL package-0 of Xeon"


def test_where_nothing_counts_nothing_is_waited_for(machine: Machine, tmp_path: Path) -> None:
    machine.tree.mkdir()
    meter = machine.meter(tmp_path / "energy")
    meter.measure_idle()
    with meter.measuring(()) as measured:
        machine.run(1)
    assert measured.energy == Energy(seconds=1)
    assert machine.now == 1
    assert not (tmp_path / "energy").exists()


def test_idle_power_above_that_of_the_work_is_not_believed(machine: Machine, tmp_path: Path) -> None:
    machine.zone("intel-rapl:0", "package-0", watts=80)
    meter = machine.meter(tmp_path / "energy")
    meter.measure_idle()
    with meter.measuring(()) as measured:
        machine.run(10, each=50)
    assert measured.energy.joules == pytest.approx(500)
    assert measured.energy.net_joules is None
    assert measured.energy.method.endswith("without idle power: something ran while it was measured")


@given(
    start=st.integers(0, RANGE - 1),
    idle=st.integers(0, 300),
    steps=st.lists(st.tuples(st.floats(0.01, 250), st.integers(0, 900)), min_size=1, max_size=8),
)
@settings(max_examples=examples(100))
def test_what_is_counted_is_what_was_used_and_above_idle_is_never_less_than_nothing(
    tmp_path_factory: pytest.TempPathFactory, start: int, idle: int, steps: list[tuple[float, int]]
) -> None:
    machine = Machine(tmp_path_factory.mktemp("powercap"))
    machine.zone("intel-rapl:0", "package-0", watts=idle, used=start)
    (package,) = of_processors(machine.tree)
    count = metering._Count(package, machine.now)
    for seconds, watts in steps:
        machine.run(seconds, each=watts)
        count.look(machine.now)
    used = sum(seconds * watts for seconds, watts in steps)
    assert count.joules == pytest.approx(used, abs=1e-3)
    meter = machine.meter(tmp_path_factory.mktemp("energy"))
    meter.measure_idle()
    with meter.measuring(()) as measured:
        machine.run(steps[0][0], each=steps[0][1])
    net, gross = measured.energy.net_joules, measured.energy.joules
    assert gross is not None
    assert net is None or 0 <= net <= gross


def test_a_counter_that_comes_round_many_times_is_followed(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.zone("intel-rapl:0", "package-0")
    read, original = threading.Semaphore(0), Package.read

    def counted(package: Package) -> float:
        found = original(package)
        read.release()
        return found

    monkeypatch.setattr(metering, "_LOOK_SECONDS", 0.001)
    monkeypatch.setattr(Package, "read", counted)
    with machine.meter(tmp_path / "energy").measuring(()) as measured:
        for _ in range(5):
            machine.run(250, each=900)
            while read.acquire(blocking=False):
                pass
            for _ in range(2):  # the first of them may have begun before
                assert read.acquire(timeout=60)
    assert measured.energy.joules == pytest.approx(5 * 250 * 900), "more than four times the range"


def test_a_counter_that_was_not_read_in_time_is_not_believed(machine: Machine, tmp_path: Path) -> None:
    machine.zone("intel-rapl:0", "package-0")
    with machine.meter(tmp_path / "energy").measuring(()) as measured:
        machine.run(3_600, each=200)
    assert measured.energy.joules is None
    assert measured.energy.method == "without RAPL package-0 of Xeon: it was not read in time"


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_counter_that_cannot_be_read_is_left_out_and_said(
    machine: Machine, tmp_path: Path, when: str
) -> None:
    machine.zone("intel-rapl:0", "package-0", watts=10)
    gone = machine.zone("intel-rapl:1", "package-1", watts=10)

    def lose() -> None:
        machine.watts.pop("intel-rapl:1")
        gone.unlink()

    meter = machine.meter(tmp_path / "energy")
    if when == "before":
        lose()
    with meter.measuring(()) as measured:
        if when == "meanwhile":
            lose()
        machine.run(10)
    assert measured.energy.joules == pytest.approx(100)
    assert measured.energy.method == (
        "RAPL package-0 of Xeon; without RAPL package-1 of Xeon: no such file or directory"
    )


def test_a_package_that_others_measure_too_is_nobodys(machine: Machine, gpu: None, tmp_path: Path) -> None:
    machine.zone("intel-rapl:0", "package-0", watts=10)
    first, second, third = (machine.meter(tmp_path / "energy") for _ in range(3))
    with first.measuring(("GPU-1",)) as alone:
        machine.run(10)
    assert alone.energy.joules == pytest.approx(1_100)
    assert alone.energy.counters == ("NVML of H100", "RAPL package-0 of Xeon")
    with first.measuring(()) as before:
        with second.measuring(()) as within:
            machine.run(10)
        machine.run(10)
    with second.present():
        first.measure_idle()
    with first.measuring(()) as later:
        machine.run(10)
    with third.measuring(()) as afterwards:
        machine.run(10)
    assert before.energy.joules is within.energy.joules is None
    assert before.energy.method.endswith("another evaluation or training used it too")
    assert later.energy.net_joules is None, "what another did while idle power was measured is not idle"
    assert afterwards.energy.joules == pytest.approx(100)


def test_who_was_killed_is_not_there_any_more(tmp_path: Path) -> None:
    (tmp_path / "killed").write_text("")  # its lock went with it
    presence = Presence(tmp_path)
    presence.arrive()
    assert presence.is_alone()
    assert not (tmp_path / "killed").exists()
    presence.leave()
    assert list(tmp_path.iterdir()) == []


def test_a_gpu_that_does_not_count_leaves_no_figure(machine: Machine, gpu: None, tmp_path: Path) -> None:
    machine.zone("intel-rapl:0", "package-0", watts=10)
    meter = machine.meter(tmp_path / "energy")
    with meter.measuring(("GPU-1", "MIG-7/1/0")) as measured:
        machine.run(10)
    assert measured.energy.joules is None
    assert measured.energy.method == "without NVML of H100: its driver tells none"
    assert GpuCounter("GPU-1").range_joules is None


def test_where_others_cannot_be_told_of_nothing_is_counted(machine: Machine, tmp_path: Path) -> None:
    machine.zone("intel-rapl:0", "package-0", watts=10)
    (tmp_path / "energy").write_text("no folder")
    meter = machine.meter(tmp_path / "energy")
    meter.measure_idle()
    with meter.measuring(()) as measured:
        machine.run(10)
    assert measured.energy.joules is None
    assert "who else uses it cannot be told" in measured.energy.method


def test_a_sum_is_of_what_all_parts_know() -> None:
    one = Energy(100.0, 60.0, 4.0, 10.0, ("NVML of H100",))
    other = Energy(50.0, 40.0, 2.0, 5.0, ("NVML of A100",), ("RAPL package-0 of Xeon: permission denied",))
    assert total([one, other]) == Energy(
        150.0, 100.0, 50 / 15, 15.0, ("NVML of A100", "NVML of H100"), other.left_out
    )
    assert counted(other.method) == "NVML of A100" and counted("without RAPL: gone") == ""
    assert total([one, Energy(50.0, seconds=5)]).net_joules is None
    assert total([one, Energy()]).joules is total([]).joules is None


def test_a_spread_is_the_standard_deviation_of_measurements() -> None:
    assert Spread.of([90, 100, 110]) == Spread(100, 10, 3)
    assert Spread.of([90, 100, 110]).relative == pytest.approx(0.1)
    assert Spread.of([90]).relative is Spread.of([0, 0]).relative is None
