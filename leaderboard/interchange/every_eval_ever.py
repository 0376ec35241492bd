"""Every Eval Ever: one JSON document of an evaluation, by the project's eval.schema.json, version 0.3.0.

https://github.com/evaleval/every_eval_ever. It can say that scores were only declared: as "documentation".
"""

from __future__ import annotations

import json
from typing import Any

from leaderboard.interchange.result import BenchmarkResult, Result

SCHEMA_VERSION = "0.3.0"


def text(result: Result) -> str:
    created = result.conditions.finished_at if result.conditions else result.published_at
    stamp = str(int(created.timestamp()))
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": f"flowertune-{result.challenge}/{result.model.replace('/', '_')}/{stamp}",
        "retrieved_timestamp": stamp,
        "source_metadata": {
            "source_name": result.source,
            "source_type": "evaluation_run" if result.conditions else "documentation",
            "source_organization_name": result.source,
            "source_organization_url": result.site,
            "evaluator_relationship": "third_party" if result.conditions else "first_party",
            "additional_details": result.facts(),
        },
        "eval_library": _library(result),
        "model_info": _model(result),
        "evaluation_results": [_score(result, score) for score in result.scores],
    }
    if result.conditions:
        document["evaluation_timestamp"] = result.conditions.finished_at.isoformat()
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def _library(result: Result) -> dict[str, Any]:
    packages = result.conditions.packages if result.conditions else {}
    library = {"name": "flowertune-leaderboard", "version": packages.get("flowertune-leaderboard", "unknown")}
    return {**library, "additional_details": dict(packages)} if packages else library


def _model(result: Result) -> dict[str, Any]:
    model: dict[str, Any] = {
        "name": f"{result.method} on {result.base_model}" if result.adapted else result.base_model,
        "id": result.model,
        "developer": result.team,
        "additional_details": {
            "deployment_type": "self_deployed" if result.conditions else "unknown",
            # Base models are open; whether the adapter is, the site does not know.
            "model_availability": "unknown" if result.adapted else "open_weights",
            **{
                name: value
                for name, value in result.facts().items()
                if name in ("base model", "adapter SHA-256", "precision")
            },
        },
    }
    if known := result.conditions:
        model["inference_engine"] = {"name": known.engine, "version": known.engine_version}
    return model


def _score(result: Result, score: BenchmarkResult) -> dict[str, Any]:
    uncertainty: dict[str, Any] = {"num_samples": score.scored}
    if score.standard_error is not None:
        uncertainty["standard_error"] = {"value": score.standard_error, "method": "analytic"}
    if score.rounded_interval:
        low, high = score.rounded_interval
        uncertainty["confidence_interval"] = {
            "lower": low,
            "upper": high,
            "confidence_level": 0.95,
            "method": "Wilson",
        }
    details = {
        "percent": str(score.percent),
        "official": str(score.official).lower(),
        "unofficial_reasons": "; ".join(score.reasons),
    }
    if result.conditions:  # of a declared score nobody knows them
        details |= {"correct": str(score.correct), "n": str(score.n), "unscored": str(score.unscored)}
    return {
        "evaluation_result_id": f"entry-{result.entry}-{score.benchmark}",
        "evaluation_name": f"flowertune_{score.benchmark}",
        "source_data": _data(score),
        "metric_config": {
            "evaluation_description": score.definition.measures or score.definition.title,
            "metric_id": score.definition.metric,
            "metric_name": score.definition.metric,
            "metric_kind": "accuracy" if score.definition.metric == "accuracy" else "pass_rate",
            "metric_unit": "proportion",
            "lower_is_better": False,
            "score_type": "continuous",
            "min_score": 0,
            "max_score": 1,
        },
        "score_details": {
            "score": score.rounded,
            "details": {name: value for name, value in details.items() if value},
            "uncertainty": uncertainty,
        },
        "generation_config": {
            "generation_args": {"temperature": 0.0},
            "additional_details": {"decoding": "greedy", "protocol": result.facts().get("protocol", "1")},
        },
    }


def _data(score: BenchmarkResult) -> dict[str, Any]:
    """The hub's data set, where the items were its."""
    details = {"digest": score.digest, "items": score.data_in_words, "benchmark": score.benchmark}
    known = {
        "dataset_name": score.title,
        "additional_details": {name: value for name, value in details.items() if value},
    }
    if score.data not in ("official", "declared"):
        return {**known, "source_type": "other"}
    hub = score.definition.hub
    return {**known, "source_type": "hf_dataset", "hf_repo": hub.dataset, "samples_number": score.available}
