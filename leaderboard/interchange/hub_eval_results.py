"""Hugging Face's evaluation results: `.eval_results/*.yaml` in the repository of a model.

https://huggingface.co/docs/hub/eval-results. A result is of a data set of the hub: of other items the format
has no words.
"""

from __future__ import annotations

import yaml
from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

from leaderboard.interchange.result import BenchmarkResult, NotSayableError, Result


def text(result: Result) -> str:
    """Raises NotSayableError."""
    conditions = result.evaluated
    scores = [score for score in result.scores if score.data == "official"]
    if not scores:
        raise NotSayableError(
            "Its items are not those of the hub's data sets, and this format names a data set of the hub."
        )
    day = conditions.finished_at.date().isoformat()
    entries = [
        EvalResultEntry(
            dataset_id=score.definition.hub.dataset,
            dataset_revision=score.definition.hub.revision,
            task_id=score.benchmark,
            value=float(score.percent),
            date=day,
            source_url=result.url,
            source_name=result.source,
            notes=_notes(result, score),
        )
        for score in scores
    ]
    return yaml.safe_dump(
        eval_result_entries_to_yaml(entries), sort_keys=False, allow_unicode=True, width=110
    )


def _notes(result: Result, score: BenchmarkResult) -> str:
    conditions = result.evaluated
    parts = [f"{score.definition.metric} in %, {score.correct} of {score.scored} items right"]
    if score.rounded_interval:
        low, high = score.rounded_interval
        parts.append(f"95% interval {100 * low:.2f} to {100 * high:.2f}")
    if score.standard_error is not None:
        parts.append(f"standard error {100 * score.standard_error:.2f}")
    if score.unscored:
        parts.append(f"{score.unscored} unscored")
    how = (f"protocol {conditions.protocol}", conditions.precision, conditions.engine)
    parts.append(", ".join(filter(None, how)))
    parts.append(f"data {score.digest}")
    parts += [f"unofficial: {reason}" for reason in score.reasons]
    return "; ".join(parts)
