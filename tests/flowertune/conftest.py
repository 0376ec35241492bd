"""What the client's tests share: a site that may break, a folder to submit, and calls that never wait."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flowertune import site as site_module
from flowertune import uploads
from flowertune.__main__ import main
from tests.evaluation import adapters
from tests.flowertune.site_server import TOKEN, SiteServer

PYPROJECT = f"""
[tool.flwr.app.config]
model.name = "{adapters.HUB_ID}"
model.lora.peft-lora-r = 4
model.lora.peft-lora-alpha = 8
strategy.name = "fedavg"
strategy.fraction-train = 0.1
num-server-rounds = 8
[tool.flwr.app.config.static]
dataset.name = "flwrlabs/fingpt-sentiment-train"
[tool.flwr.federations.local]
options.num-supernodes = 50
"""


@dataclass(frozen=True)
class Ended:
    """How a call ended; `document` is what a script reads."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ended]


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the client would have waited."""
    waited: list[float] = []
    original = site_module.Site.__init__

    def quick(self: site_module.Site, url: str, token: str | None = None) -> None:
        original(self, url, token, pause=waited.append)

    monkeypatch.setattr(site_module.Site, "__init__", quick)
    return waited


@pytest.fixture
def server() -> Iterator[SiteServer]:
    with SiteServer() as server:
        yield server


@pytest.fixture
def run(
    server: SiteServer,
    pauses: list[float],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Run a command, logged in by environment."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("FLOWERTUNE_URL", server.url)
    monkeypatch.setenv("FLOWERTUNE_TOKEN", TOKEN)
    monkeypatch.setattr(uploads, "CHUNK_BYTES", 500)

    def call(*arguments: str) -> Ended:
        capsys.readouterr()
        status = main(arguments)
        captured = capsys.readouterr()
        assert TOKEN not in captured.out + captured.err
        return Ended(status, captured.out, captured.err)

    return call


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A Flower app's folder whose last checkpoint is results/peft_8."""
    folder = tmp_path / "app"
    for number in (4, 8):
        checkpoint = folder / "results" / f"peft_{number}"
        checkpoint.mkdir(parents=True)
        content = adapters.safetensors(adapters.lora_tensors(), {"round": str(number)})
        (checkpoint / "adapter_model.safetensors").write_bytes(content)
        (checkpoint / "adapter_config.json").write_text(json.dumps(adapters.config_document()))
    (folder / "pyproject.toml").write_text(PYPROJECT)
    return folder


@pytest.fixture
def adapter(app: Path) -> bytes:
    return (app / "results" / "peft_8" / "adapter_model.safetensors").read_bytes()
