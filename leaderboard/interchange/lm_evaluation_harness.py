"""Results as lm-evaluation-harness writes them (`results_*.json` of lm_eval 0.4).

Tasks have a prefix: the items may be those of a task there, the prompts are those of this site's protocol.
"""

from __future__ import annotations

import json
from typing import Any

from leaderboard.interchange.result import BenchmarkResult, Result


def text(result: Result) -> str:
    """Raises NotSayableError."""
    conditions = result.evaluated
    tasks = {f"flowertune_{score.benchmark}": score for score in result.scores}
    group = f"flowertune_{result.challenge.replace('-', '_')}"
    metrics = {_metric(score) for score in result.scores}
    summary: dict[str, Any] = {}
    if result.average is not None and len(metrics) == 1:
        [metric] = metrics
        summary = {
            group: {
                "alias": result.challenge_title,
                f"{metric},none": round(result.average, 6),
                f"{metric}_stderr,none": "N/A",
            }
        }
    document: dict[str, Any] = {
        "results": summary | {task: _result(score) for task, score in tasks.items()},
        "groups": summary,
        "group_subtasks": {group: list(tasks)} if summary else {},
        "configs": {task: _config(task, result, score) for task, score in tasks.items()},
        "versions": dict.fromkeys(tasks, conditions.protocol),
        "n-shot": dict.fromkeys(tasks, 0),
        "higher_is_better": {task: {_metric(score): True} for task, score in tasks.items()},
        "n-samples": {
            task: {"original": score.available, "effective": score.n} for task, score in tasks.items()
        },
        "config": {
            "model": conditions.engine,
            "model_args": f"pretrained={result.base_model},peft={result.model}"
            if result.adapted
            else f"pretrained={result.base_model}",
            "model_dtype": conditions.precision,
            "limit": None,
            "metadata": result.facts(),
        },
        "git_hash": conditions.git_commit or None,
        "date": conditions.began_at.timestamp(),
        "transformers_version": conditions.packages.get("transformers"),
        "task_hashes": {task: score.digest for task, score in tasks.items()},
        "model_source": conditions.engine,
        "model_name": result.model,
        "model_name_sanitized": result.model.replace("/", "__"),
        "total_evaluation_time_seconds": str((conditions.finished_at - conditions.began_at).total_seconds()),
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _metric(score: BenchmarkResult) -> str:
    return "acc" if score.definition.metric == "accuracy" else "pass@1"


def _result(score: BenchmarkResult) -> dict[str, Any]:
    metric = _metric(score)
    error = score.standard_error
    return {
        "alias": score.title,
        f"{metric},none": score.rounded,
        f"{metric}_stderr,none": "N/A" if error is None else error,
        "sample_len": score.scored,
    }


def _config(task: str, result: Result, score: BenchmarkResult) -> dict[str, Any]:
    official = score.data == "official"
    low, high = score.rounded_interval or (None, None)
    return {
        "task": task,
        "task_alias": score.title,
        "dataset_path": score.definition.hub.dataset if official else f"flowertune/{score.data}",
        "output_type": "generate_until",
        "num_fewshot": 0,
        "metric_list": [{"metric": _metric(score), "aggregation": "mean", "higher_is_better": True}],
        "generation_kwargs": {"do_sample": False},
        "metadata": {
            "version": result.evaluated.protocol,
            "data": score.data_in_words,
            "data_digest": score.digest,
            "correct": score.correct,
            "unscored": score.unscored,
            "interval95": [low, high],
            "official": score.official,
            "unofficial_reasons": list(score.reasons),
            "entry": result.url,
        },
    }
