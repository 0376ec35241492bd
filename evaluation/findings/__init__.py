"""What a check found: the one list that form, API, command line and reviewer all show.

Checks collect every problem in one pass instead of raising at the first. `CODES` is the table of
stable codes; programs may rely on them, texts may change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

ALIKE_LIMIT = 20

CODES = {
    # adapter_model.safetensors, as a file
    "file.empty": "the file has no bytes",
    "file.not_safetensors": "the file is of another kind: pickle, GGUF, web page, Git LFS pointer …",
    "file.truncated": "the file ends before what its header announces",
    "file.trailing_bytes": "bytes after the last tensor",
    "header.length": "the announced header length is zero, over the limit or past the end of the file",
    "header.json": "the header is not one JSON object, or holds what JSON in a header must not",
    "header.duplicate_key": "a tensor or key is named twice",
    "header.metadata": "__metadata__ is not a map of strings",
    "header.too_many_tensors": "more tensors than any adapter has",
    "header.tensor_name": "a tensor name is empty, too long or not printable ASCII",
    "header.tensor_entry": "a tensor's entry lacks a field or has a foreign one",
    "header.dtype": "a data type that the format does not know",
    "header.shape": "a shape that is not a short list of bounded non-negative integers",
    "header.offsets": "data offsets that are no ordered pair of integers within the file",
    "header.tensor_size": "shape and data type need another number of bytes than the offsets span",
    "header.overlap": "two tensors share bytes",
    "header.hole": "bytes between two tensors belong to neither",
    # adapter_config.json
    "adapter_config.json": "not one JSON object in UTF-8, or with NaN, Infinity or a key twice",
    "adapter_config.too_large": "over the size limit",
    "adapter_config.type": "a value of the wrong type or outside its range",
    "adapter_config.missing": "a key that every LoRA configuration has is missing",
    "adapter_config.unknown_keys": "keys that are ignored",
    "adapter_config.peft_type": "not LoRA",
    "adapter_config.task_type": "not CAUSAL_LM, or not given",
    "adapter_config.remote_code": "asks for code from elsewhere to be run",
    "adapter_config.unsupported": "a LoRA variant or option that would be evaluated wrongly",
    "adapter_config.base_model": "names another base model than the selected one, or none",
    "adapter_config.revision": "names another revision of the base model",
    "adapter_config.target_modules": "names no target modules",
    "adapter_config.pattern": "a regular expression that is malformed or takes too long",
    # adapter_model.safetensors against its configuration and its base model
    "adapter.no_lora_tensors": "no LoRA tensor at all, or none that the configuration targets",
    "adapter.unknown_tensor": "a tensor that is not part of a LoRA adapter",
    "adapter.base_weight": "a tensor that would overwrite a weight of the base model",
    "adapter.duplicate_tensor": "the same tensor under two spellings",
    "adapter.unknown_module": "a module that the base model does not have",
    "adapter.shape": "a shape that does not fit the base model or the rank",
    "adapter.incomplete_module": "a module that lacks one of its tensors",
    "adapter.unexpected_magnitude": "DoRA magnitudes although use_dora is false",
    "adapter.dtype": "a data type other than F32, F16 and BF16",
    "adapter.not_finite": "NaN or infinite values",
    "adapter.untargeted_module": "tensors of a module that the configuration does not target",
    "adapter.target_without_tensors": "targeted modules for which the file has no tensor",
    "adapter.full_weights": "whole modules are replaced (modules_to_save)",
    "adapter.no_effect": "every update is zero",
    "adapter.rank": "a rank over the smaller side of its matrix",
    # pyproject.toml, as a file
    "config.too_large": "over the size limit",
    "config.too_many_values": "more keys and values than any configuration",
    "config.encoding": "not UTF-8",
    "config.byte_order_mark": "begins with a byte order mark",
    "config.syntax": "not TOML",
    "config.template": "a template whose placeholders were never filled in",
    "config.nesting": "keys or values nested deeper than any configuration",
    # pyproject.toml, as a Flower app
    "config.not_flower_app": "no table [tool.flwr.app], nor what older Flower had in its place",
    "config.no_app_config": "no table [tool.flwr.app.config]",
    "config.old_layout": "the layout of Flower before 1.10",
    "config.value": "a value of the wrong type or outside its range",
    "config.conflict": "the same thing said twice, differently",
    "config.unknown_keys": "keys that are kept but not understood",
    "config.strategy": "a strategy that is not known here",
    "config.minimum_clients": "a fraction so small that Flower asks more clients",
    "config.missing": "the method cannot be described or its communication derived",
    # pyproject.toml against the challenge's rules
    "config.static_missing": "the static section is gone or names no data set",
    "config.static_dataset": "the static section names another data set",
    "config.static_extra": "the static section holds more than the template's",
    "config.supernodes": "another number of SuperNodes than the challenge has clients",
    "config.supernodes_assumed": "no number of SuperNodes in the file",
    "config.base_model_size": "the base model is over the size limit",
    "config.adapter_differs": "the configuration and the adapter disagree",
    # the settings of a federated run of this site
    "run.adapter": "a strategy and an adapter that do not go together",
    "run.challenge": "no such challenge",
    "run.clients": "another number of clients than the challenge has",
    "run.partition": "a partition without what it needs, or with what means nothing to it",
    "run.privacy": "differential privacy out of range, or with a strategy that it does not go with",
    "run.rows": "more clients than rows",
    "run.strategy": "no such strategy",
    "run.strategy_option": "an option that the strategy does not have, or out of its range",
    "run.target_modules": "no target module, or one that the base model does not have",
    "run.value": "a value out of its range, or two that contradict each other",
    # communication
    "communication.budget": "over the challenge's budget",
    "communication.differs": "the declared figure is not the derived one",
    "communication.value": "the declared figure is no amount of bytes",
    "communication.log": "neither log lines nor one total",
    "communication.log_value": "a log line without a number",
    "communication.log_too_large": "over the size limit",
    "communication.log_gaps": "lines are missing from the log",
    "communication.log_restarted": "the log holds several runs",
    # scores that the submitter declares
    "declared.impossible_score": "no number of right answers gives it, neither rounded nor truncated",
    # a Flower app's folder
    "app.no_config": "no pyproject.toml",
    "app.no_checkpoint": "no adapter",
    "app.missing_file": "a checkpoint without one of its two files",
    "app.several_runs": "checkpoints of more than one run",
    "app.too_many_folders": "too many folders to search",
    "app.round": "the last checkpoint is not of the last round",
}


class Severity(StrEnum):
    """`ERROR` blocks the submission, `WARNING` goes to the reviewer, `NOTE` is shown."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


_ORDER = list(Severity)


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of a check.

    `message` is for a person and says what to do next. `location` names the place: a file, and a
    key, tensor, or line and column in it; "" where the whole submission is meant.
    """

    code: str
    severity: Severity
    message: str
    location: str = ""


def has_errors(findings: Iterable[Finding]) -> bool:
    """Whether anything blocks the submission."""
    return any(finding.severity is Severity.ERROR for finding in findings)


def excerpt(text: str, limit: int = 80) -> str:
    """`text` from a stranger, fit for a message: at most `limit` characters of it, nothing unprintable.

    Control characters, NUL, unpaired surrogates and characters that change the direction of writing
    come out as escapes, so the result can be stored, logged and shown.
    """
    shown = text[: limit + 1]
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in shown)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


class FindingCollector:
    """Gathers findings and keeps at most `ALIKE_LIMIT` of one code, so that a hostile file cannot flood."""

    def __init__(self) -> None:
        self._kept: list[Finding] = []
        self._seen: Counter[tuple[Severity, str]] = Counter()

    def error(self, code: str, message: str, location: str = "") -> None:
        self._add(Finding(code, Severity.ERROR, message, location))

    def warning(self, code: str, message: str, location: str = "") -> None:
        self._add(Finding(code, Severity.WARNING, message, location))

    def note(self, code: str, message: str, location: str = "") -> None:
        self._add(Finding(code, Severity.NOTE, message, location))

    @property
    def has_errors(self) -> bool:
        return has_errors(self._kept)

    def collected(self) -> tuple[Finding, ...]:
        """All findings, errors first, otherwise in the order found; "and N more like it" ends a cut kind."""
        cut = (
            Finding(code, severity, f"and {count - ALIKE_LIMIT:,} more like it")
            for (severity, code), count in self._seen.items()
            if count > ALIKE_LIMIT
        )
        return tuple(sorted([*self._kept, *cut], key=lambda finding: _ORDER.index(finding.severity)))

    def _add(self, finding: Finding) -> None:
        kind = (finding.severity, finding.code)
        self._seen[kind] += 1
        if self._seen[kind] <= ALIKE_LIMIT:
            self._kept.append(finding)
