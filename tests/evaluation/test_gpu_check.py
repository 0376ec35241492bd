"""`scripts/gpu-check`, tried with tiny models: it reports each part, and goes on where one fails."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from tests.perf import gpu_check  # noqa: E402 - needs the packages above


@pytest.fixture(autouse=True)
def threads() -> Any:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.slow("does all that a GPU is checked for, with two models")
def test_a_part_that_fails_is_named_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train, failures = gpu_check.training, iter([True, False])

    def training(check: gpu_check.Check, model: Any) -> None:
        if next(failures):
            raise RuntimeError("no such kernel")
        train(check, model)

    monkeypatch.setattr(gpu_check, "training", training)
    assert gpu_check.main(["--small"]) == 1
    said = capsys.readouterr().out
    assert "FAILED tiny Llama: training: RuntimeError: no such kernel" in said
    assert [line for line in said.splitlines() if line.startswith("failed: ")] == [
        "failed: tiny Llama: training"
    ]
    for part, times in {
        "items a second, one call an item": 4,
        "memory ran out": 2,
        "steps a second": 1,
        "engine against one call an item: 4 of 4": 2,
        "  float16:": 2,
    }.items():
        assert said.count(part) == times, part


@pytest.mark.slow("starts a Python with torch")
def test_without_a_gpu_the_command_says_what_it_needs() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    root = gpu_check.ROOT
    ended = subprocess.run([root / "scripts" / "gpu-check"], capture_output=True, text=True, timeout=300)
    assert ended.returncode == 1
    assert "no CUDA device; --small tries the check" in ended.stderr
