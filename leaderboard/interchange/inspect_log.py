"""A log of Inspect (`.eval`, version 2): one benchmark of an entry, with all of its single answers.

https://inspect.aisi.org.uk/eval-logs.html. Samples are numbered as on the site, from 1.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from typing import IO, Any

from leaderboard.interchange.result import BenchmarkResult, Conditions, NotSayableError, Result
from leaderboard.reading.items import Item
from leaderboard.reading.pieces import Pieces

_VERSION = 2
_SCORER = "flowertune"
_LONGEST_IN_SUMMARY = 1_000
_IN_MEMORY = 1 << 20
_PLAN = {"name": "plan", "steps": [{"solver": "generate", "params": {}}], "config": {"temperature": 0.0}}
# So that equal results give equal bytes.
_EPOCH = (1980, 1, 1, 0, 0, 0)


def pieces(result: Result, benchmark: str, items: Iterable[Item]) -> Iterator[bytes]:
    """The file, piece by piece; one answer is in memory at a time. Raises NotSayableError at once."""
    conditions = result.evaluated
    score = next((found for found in result.scores if found.benchmark == benchmark), None)
    if score is None:
        raise NotSayableError(f"Entry {result.entry} has no score of a benchmark “{benchmark}”.")
    if not score.has_items:
        raise NotSayableError("The single answers to this benchmark were not kept.")
    return _pieces(result, conditions, score, items)


def _pieces(
    result: Result, conditions: Conditions, score: BenchmarkResult, items: Iterable[Item]
) -> Iterator[bytes]:
    sink = Pieces()
    start = {"version": _VERSION, "eval": _spec(result, conditions, score), "plan": _PLAN}
    with (
        zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive,
        tempfile.SpooledTemporaryFile(_IN_MEMORY) as summaries,
    ):
        _add(archive, "_journal/start.json", start)
        for item in items:
            sample = _sample(result, item)
            _add(archive, f"samples/{sample['id']}_epoch_1.json", sample)
            summaries.write(b",\n" if summaries.tell() else b"[")
            summaries.write(json.dumps(_summary(sample), ensure_ascii=False).encode())
            yield sink.taken()
        summaries.write(b"]" if summaries.tell() else b"[]")
        _copy(archive, "summaries.json", summaries)
        _add(archive, "header.json", {**start, "status": "success", **_outcome(conditions, score)})
    yield sink.taken()


def _add(archive: zipfile.ZipFile, name: str, content: dict[str, Any]) -> None:
    archive.writestr(_member(name), json.dumps(content, ensure_ascii=False))


def _copy(archive: zipfile.ZipFile, name: str, content: IO[bytes]) -> None:
    content.seek(0)
    with archive.open(_member(name), "w") as member:
        shutil.copyfileobj(content, member)


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, _EPOCH)
    member.compress_type = zipfile.ZIP_DEFLATED
    return member


def _spec(result: Result, conditions: Conditions, score: BenchmarkResult) -> dict[str, Any]:
    official = score.data == "official"
    run = f"evaluation-{conditions.evaluation}"
    return {
        "eval_id": f"{run}-{score.benchmark}",
        "run_id": run,
        "created": conditions.began_at.isoformat(),
        "task": f"flowertune/{score.benchmark}",
        "task_id": f"flowertune-{score.benchmark}",
        "task_version": conditions.protocol,
        "task_display_name": score.title,
        "task_args": {"protocol": conditions.protocol},
        "dataset": {
            "name": score.title,
            "location": score.definition.hub.dataset if official else None,
            "samples": score.n,
            "shuffled": False,
        },
        "model": f"{conditions.engine or 'none'}/{result.model}",
        "model_generate_config": {"temperature": 0.0},
        "model_args": {"precision": conditions.precision, "base_model": result.base_model},
        "config": {"epochs": 1},
        "packages": dict(conditions.packages),
        "revision": _revision(conditions),
        "metadata": {
            **result.facts(),
            "data": score.data_in_words,
            "data digest": score.digest,
            "official": score.official,
            "unofficial because": list(score.reasons),
        },
        "scorers": [{"name": _SCORER}],
    }


def _revision(conditions: Conditions) -> dict[str, Any] | None:
    """Of the code that evaluated; its origin is not part of what is recorded."""
    if not conditions.git_commit:
        return None
    return {"type": "git", "origin": "", "commit": conditions.git_commit}


def _outcome(conditions: Conditions, score: BenchmarkResult) -> dict[str, Any]:
    values = {"accuracy": score.rounded}
    if score.standard_error is not None:
        values["stderr"] = score.standard_error
    if score.rounded_interval:
        values |= dict(zip(("interval95_low", "interval95_high"), score.rounded_interval, strict=True))
    counted = {
        "name": _SCORER,
        "scorer": _SCORER,
        "scored_samples": score.scored,
        "unscored_samples": score.unscored,
        "metrics": {name: {"name": name, "value": value} for name, value in values.items()},
        "metadata": {"metric": score.definition.metric, "percent": str(score.percent)},
    }
    return {
        "results": {"total_samples": score.n, "completed_samples": score.scored, "scores": [counted]},
        "stats": {
            "started_at": conditions.began_at.isoformat(),
            "completed_at": conditions.finished_at.isoformat(),
        },
    }


def _sample(result: Result, item: Item) -> dict[str, Any]:
    completion = item.completion or ""
    facts = {"item": item.id, "group": item.group, "failure": item.failure, "detail": item.detail}
    verdict = None if item.correct is None else "C" if item.correct else "I"
    scored = {"value": verdict, "answer": item.prediction, "explanation": item.detail or None}
    return {
        "id": item.position + 1,
        "epoch": 1,
        "input": item.prompt,
        "target": item.target,
        "messages": [
            {"role": "user", "content": item.prompt},
            {"role": "assistant", "content": completion, "source": "generate"},
        ],
        "output": {
            "model": result.model,
            "choices": [{"message": {"role": "assistant", "content": completion}, "stop_reason": "unknown"}],
        },
        "scores": {_SCORER: scored} if verdict else {},
        "metadata": {name: value for name, value in facts.items() if value},
    }


def _summary(sample: dict[str, Any]) -> dict[str, Any]:
    short = {**sample, "input": sample["input"][:_LONGEST_IN_SUMMARY], "completed": True}
    return {key: value for key, value in short.items() if key not in ("messages", "output")}
