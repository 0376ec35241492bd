"""The hub of the faults: a base model and an adapter, and answers that go wrong where a fault asks for it."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.evaluation import adapters
from tests.evaluation.hub_server import HubServer

ADAPTER_REPOSITORY = "Faults/Adapter"
_SCRIPT = {"pause": 0.4}  # seconds before each score of the scripted engine
_MODEL = {
    "config.json": b'{"model_type": "llama"}',
    "model.safetensors": adapters.safetensors(adapters.lora_tensors(), {}),
    "script.json": json.dumps(_SCRIPT).encode(),
}


class Hub(HubServer):
    """`status` is answered to everything while it is not 0; `watch` strikes at a request for a file."""

    def __init__(self) -> None:
        super().__init__(adapters.HUB_ID, _MODEL)
        self.status = 0
        self._watched: tuple[str, Callable[[], None]] | None = None
        self.adapter = HubServer(ADAPTER_REPOSITORY, {})
        self.others.append(self.adapter)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def watch(self, ending: str, strike: Callable[[], None]) -> None:
        self._watched = (ending, strike)

    def unwatch(self) -> None:
        self._watched = None

    def respond(self, path: str) -> tuple[int, dict[str, str], bytes]:
        if self._watched and path.endswith(self._watched[0]):
            strike, self._watched = self._watched[1], None
            strike()
        if self.status:
            return self.status, {"Retry-After": "1"} if self.status == 429 else {}, b"{}"
        return super().respond(path)
