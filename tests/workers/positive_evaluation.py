"""The process that evaluates, as it is, but for the model: every answer is `positive`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from evaluation import engines, server
from evaluation.benchmarks.samples import Completion, Decoding, Request
from evaluation.engines import Answered, Choice, Engine, EngineFacts
from evaluation.rules.protocol import Precision


class Optimist(Engine):
    name = "optimist"

    def open(self, model: Path, precision: Precision) -> None:
        """Nothing is loaded."""

    def use_adapter(self, adapter: Path | None) -> None:
        """Nothing changes its mind."""

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def generate(
        self,
        requests: Sequence[Request],
        decoding: Decoding,  # noqa: ARG002 - an engine's
        answered: Answered,
    ) -> Iterator[Completion]:
        for number, request in enumerate(requests, 1):
            yield Completion(request.key, "positive")
            answered(number)

    def facts(self) -> EngineFacts:
        return EngineFacts(self.name, "1", "cpu")

    def close(self) -> None:
        """There is nothing to free."""


def create(name: str) -> Engine:
    return Optimist()


if __name__ == "__main__":
    engines.choose = lambda *_: Choice(Optimist.name, "a test")
    engines.create = create
    server.main()
