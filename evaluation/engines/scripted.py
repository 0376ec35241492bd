"""An engine that answers from files of completions, made elsewhere or written by hand.

It scores what another machine generated, and lets everything around an engine be tested without a model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evaluation.benchmarks.samples import Completion, Decoding, Request
from evaluation.engines.engine import Answered, Engine, EngineFacts
from evaluation.errors import DataError, ModelError
from evaluation.rules.protocol import Precision


def read_completions(path: Path) -> dict[str, str]:
    """Completions by item id, from a file with {"id": …, "completion": …} a line.

    Raises DataError that names the line of what is malformed, and of an id that stands twice.
    """
    completions: dict[str, str] = {}
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the completions {path} cannot be read: {error}") from error
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{place}: not JSON: {error}") from error
        key, completion = _fields(row, place)
        if key in completions:
            raise DataError(f"{place}: the id {key!r} stands twice")
        completions[key] = completion
    return completions


def _fields(row: Any, place: str) -> tuple[str, str]:
    if not isinstance(row, dict):
        raise DataError(f"{place}: not a JSON object")
    key, completion = row.get("id"), row.get("completion")
    if isinstance(key, bool) or not isinstance(key, (str, int)):
        raise DataError(f"{place}: `id` must be a text or an integer")
    if not isinstance(completion, str):
        raise DataError(f"{place}: `completion` must be a text")
    return str(key), completion


class ScriptedEngine(Engine):
    """Opened on a folder, it answers a benchmark from `<slug>.jsonl` there.

    An adapter folder that holds such a file answers in its stead. An id that the file lacks has no answer.
    """

    name = "scripted"
    generates = False

    def __init__(self, files: Mapping[str, Path] | None = None) -> None:
        self._files = dict(files or {})
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
        completions: dict[str, dict[str, str]] = {}
        for number, request in enumerate(requests, 1):
            if request.benchmark not in completions:
                completions[request.benchmark] = read_completions(self._file(request.benchmark))
            text = completions[request.benchmark].get(request.key)
            failure = "the completions file has no such id" if text is None else ""
            yield Completion(request.key, text, failure)
            answered(number)

    def _file(self, benchmark: str) -> Path:
        if benchmark in self._files:
            return self._files[benchmark]
        for folder in self._folders:
            if (folder / f"{benchmark}.jsonl").is_file():
                return folder / f"{benchmark}.jsonl"
        raise DataError(f"there are no completions {benchmark}.jsonl")

    def facts(self) -> EngineFacts:
        return EngineFacts(self.name, "1", "none")

    def close(self) -> None:
        self._folders = ()
