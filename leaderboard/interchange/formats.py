"""The formats that a result is given in, and which of them can say it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from leaderboard.interchange import (
    every_eval_ever,
    hub_eval_results,
    lm_evaluation_harness,
    model_index,
)
from leaderboard.interchange.result import NotSayableError, Result

JSON, YAML, ZIP = "application/json", "application/yaml", "application/zip"
INSPECT = "inspect"


@dataclass(frozen=True)
class Format:
    """A file of an entry's whole result. `text` raises NotSayableError."""

    slug: str
    title: str
    about: str
    ending: str
    content_type: str
    text: Callable[[Result], str]

    def file_name(self, result: Result) -> str:
        return f"{result.file_stem}{self.ending}"


_ALL = (
    Format(
        "hub-eval-results",
        "Hugging Face evaluation results",
        "For .eval_results/ in the model's repository on the hub, which shows them on its page",
        ".yaml",
        YAML,
        hub_eval_results.text,
    ),
    Format(
        "model-index",
        "Model index",
        "For the front matter of the model's README.md",
        "-model-index.yaml",
        YAML,
        model_index.text,
    ),
    Format(
        "every-eval-ever",
        "Every Eval Ever",
        "For the shared collection of evaluation results",
        "-every-eval-ever.json",
        JSON,
        every_eval_ever.text,
    ),
    Format(
        "lm-evaluation-harness",
        "lm-evaluation-harness",
        "As its results_*.json, for tables and trackers that read these",
        "-lm-eval.json",
        JSON,
        lm_evaluation_harness.text,
    ),
)
FORMATS: Mapping[str, Format] = MappingProxyType({form.slug: form for form in _ALL})


@dataclass(frozen=True)
class Offer:
    """A format as it stands for one result: `refused` says why it has no words for it. `benchmark` names the
    one of a format that has a file for each."""

    slug: str
    title: str
    about: str
    file_name: str
    refused: str = ""
    benchmark: str = ""


def offers(result: Result) -> Iterator[Offer]:
    """All formats, whether they can say the result or not."""
    for form in _ALL:
        yield Offer(form.slug, form.title, form.about, form.file_name(result), _refusal(form, result))
    for score in result.scores:
        if score.has_items:
            yield Offer(
                INSPECT,
                f"Inspect log, {score.definition.title}",
                "With every single answer, for Inspect's viewer and data frames",
                log_name(result, score.benchmark),
                benchmark=score.benchmark,
            )


def log_name(result: Result, benchmark: str) -> str:
    return f"{result.file_stem}-{benchmark}.eval"


def _refusal(form: Format, result: Result) -> str:
    try:
        form.text(result)
    except NotSayableError as error:
        return str(error)
    return ""
