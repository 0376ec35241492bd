"""An engine that answers from files of completions, made elsewhere or written by hand.

It scores what another machine generated, and lets everything around an engine be tested without a model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from evaluation.benchmarks.samples import Completion, Decoding, Request
from evaluation.engines.completion_files import read_answers
from evaluation.engines.engine import Answered, Engine, EngineFacts
from evaluation.errors import DataError, ModelError
from evaluation.rules.protocol import Precision


def read_completions(path: Path) -> dict[str, str]:
    """Completions by item id. Raises DataError for what is malformed, and for an id that stands twice."""
    completions: dict[str, str] = {}
    for answer in read_answers(path):
        if answer.key is None or answer.is_whole or len(answer.texts) > 1:
            raise DataError(f"{answer.place}: an object with an `id` and a `completion` is needed here")
        if answer.key in completions:
            raise DataError(f"{answer.place}: the id {answer.key!r} stands twice")
        completions[answer.key] = answer.texts[0]
    return completions


class ScriptedEngine(Engine):
    """Opened on a folder, it answers a benchmark from `<slug>.jsonl` there.

    An adapter folder that holds such a file answers in its stead. An id that the file lacks has no answer.
    """

    name = "scripted"
    generates = False

    def __init__(self, given: Mapping[str, Mapping[str, str]] | None = None) -> None:
        """`given` are completions by benchmark and id, where they are in no folder."""
        self._given = dict(given or {})
        self._folders: tuple[Path, ...] = ()

    def open(self, model: Path, precision: Precision) -> None:  # noqa: ARG002 - nothing is computed
        if not model.is_dir():
            raise ModelError(f"there is no folder {model} with completions")
        self._folders = (model,)

    def use_adapter(self, adapter: Path | None) -> None:
        self._folders = (*([adapter] if adapter else []), *self._folders[-1:])

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def generate(
        self,
        requests: Sequence[Request],
        decoding: Decoding,  # noqa: ARG002 - the completions are given
        answered: Answered,
    ) -> Iterator[Completion]:
        completions = dict(self._given)
        for number, request in enumerate(requests, 1):
            if request.benchmark not in completions:
                completions[request.benchmark] = read_completions(self._file(request.benchmark))
            text = completions[request.benchmark].get(request.key)
            failure = "the completions file has no such id" if text is None else ""
            yield Completion(request.key, text, failure)
            answered(number)

    def _file(self, benchmark: str) -> Path:
        for folder in self._folders:
            if (folder / f"{benchmark}.jsonl").is_file():
                return folder / f"{benchmark}.jsonl"
        raise DataError(f"there are no completions {benchmark}.jsonl")

    def facts(self) -> EngineFacts:
        return EngineFacts(self.name, "1", "none")

    def close(self) -> None:
        self._folders = ()
