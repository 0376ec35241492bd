"""The `model-index` of a model's card: results in the front matter of its README.md.

https://github.com/huggingface/hub-docs/blob/main/modelcard.md
"""

from __future__ import annotations

import yaml
from huggingface_hub import EvalResult
from huggingface_hub.repocard_data import eval_results_to_model_index

from leaderboard.interchange.result import BenchmarkResult, Result

OWN_DATA = "flowertune-demonstration"
"""The type of a data set that is none of the hub."""


def text(result: Result) -> str:
    """A YAML document with the one key `model-index`. Raises NotSayableError."""
    index = eval_results_to_model_index(result.method, [_result(result, score) for score in result.scores])
    return yaml.safe_dump({"model-index": index}, sort_keys=False, allow_unicode=True, width=110)


def _result(result: Result, score: BenchmarkResult) -> EvalResult:
    conditions = result.evaluated
    benchmark, is_official = score.definition, score.data == "official"
    args = {
        "n": score.n,
        "unscored": score.unscored,
        "correct": score.correct,
        "standard_error": score.standard_error,
        "interval95": list(score.rounded_interval) if score.rounded_interval else None,
        "protocol": conditions.protocol,
        "precision": conditions.precision,
        "engine": f"{conditions.engine} {conditions.engine_version}".strip(),
        "data_digest": score.digest,
        "date": conditions.finished_at.date().isoformat(),
        "unofficial": list(score.reasons),
    }
    return EvalResult(
        task_type="text-generation",
        task_name=f"{result.challenge_title}: {score.title}",
        dataset_type=benchmark.hub.dataset if is_official else OWN_DATA,
        dataset_name=score.title,
        dataset_config=score.benchmark,
        dataset_revision=benchmark.hub.revision if is_official else None,
        metric_type="accuracy" if benchmark.metric == "accuracy" else "pass@1",
        metric_name=f"{benchmark.metric}, %",
        metric_value=float(score.percent),
        metric_args={name: value for name, value in args.items() if value not in (None, "", [])},
        source_name=result.source,
        source_url=result.url,
    )
