"""Inspection of a Flower app as it lies on disk: its configuration, its last checkpoint and its log.

The same checks as on submission, before anything is sent; no model library is loaded and no code is run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from evaluation.checkpoints import (
    ADAPTER_FILE,
    AdapterConfig,
    AdapterSummary,
    BaseModelTensors,
    inspect_adapter,
    inspect_adapter_config,
)
from evaluation.checkpoints import CONFIG_FILE as ADAPTER_CONFIG_FILE
from evaluation.checkpoints.adapter_config import MAX_SIZE as MAX_ADAPTER_CONFIG
from evaluation.errors import DataError
from evaluation.findings import Finding, FindingCollector, Severity, has_errors
from evaluation.flowerconfig import check_base_size, inspect_app_config
from evaluation.flowerconfig.agreement import check_agreement
from evaluation.flowerconfig.code import MAX_SIZE as MAX_SOURCE
from evaluation.flowerconfig.code import strategy_in_code
from evaluation.flowerconfig.document import MAX_SIZE as MAX_CONFIG
from evaluation.flowerconfig.folder import AppFiles, locate
from evaluation.inspection.communication_log import MAX_SIZE as MAX_LOG
from evaluation.inspection.communication_log import CommunicationLog, parse_communication_log
from evaluation.method.card import MethodCard
from evaluation.method.communication import (
    Communication,
    adapter_parameters,
    check_budget,
    check_declared,
    derive,
)
from evaluation.method.strategies import KNOWN as KNOWN_STRATEGIES
from evaluation.rules.challenges import Challenge


@dataclass(frozen=True)
class Options:
    """What an inspection may know beside the files.

    `base` is the base model's tensors, `max_base_parameters` the limit on its size, `declared_bytes` the
    communication that the submitter states. None: not known, not limited, not stated.
    """

    base: BaseModelTensors | None = None
    max_base_parameters: int | None = None
    declared_bytes: float | None = None


@dataclass(frozen=True)
class Inspection:
    """All that was found; what could not be read is None."""

    challenge: Challenge
    files: AppFiles
    card: MethodCard | None
    adapter: AdapterSummary | None
    communication: Communication | None
    log: CommunicationLog | None
    findings: tuple[Finding, ...]

    @property
    def has_errors(self) -> bool:
        return has_errors(self.findings)


def inspect(path: Path, challenge: Challenge, options: Options | None = None) -> Inspection:
    """Inspect the Flower app, pyproject.toml or adapter folder at `path` for a challenge.

    Raises DataError when there is nothing to inspect or a file cannot be read.
    """
    options = options or Options()
    collector = FindingCollector()
    try:
        files = locate(path, collector)
    except OSError as error:
        raise DataError(f"{path} cannot be searched: {error.strerror}") from error
    card, config_findings = _card(files, challenge)
    adapter_config, adapter, adapter_findings = _adapter(files, options.base)
    log, log_findings = _log(files)
    if card:
        _check_round(files, card, collector)
    if options.max_base_parameters is not None:
        _check_size(files, card, adapter_config, options, collector)
    communication = _communication(
        files, card, adapter, log, challenge=challenge, options=options, findings=collector
    )
    found = [*config_findings, *adapter_findings, *log_findings, *collector.collected()]
    if card:
        found += check_agreement(card, adapter_config, adapter)
    order = list(Severity)
    found.sort(key=lambda finding: order.index(finding.severity))
    return Inspection(challenge, files, card, adapter, communication, log, tuple(found))


def _card(files: AppFiles, challenge: Challenge) -> tuple[MethodCard | None, Sequence[Finding]]:
    """The card; a strategy that the configuration does not name, or not so that it is known, is looked
    for in the app's code."""
    if files.config is None:
        return None, ()
    content = _read(files.config, MAX_CONFIG)
    card, findings = inspect_app_config(content, challenge, name=files.name(files.config))
    if card and card.strategy not in KNOWN_STRATEGIES:
        sources = [_read(path, MAX_SOURCE).decode("utf-8", "replace") for path in files.sources]
        card = dataclasses.replace(card, strategy=strategy_in_code(sources) or card.strategy)
    return card, findings


def _adapter(
    files: AppFiles, base: BaseModelTensors | None
) -> tuple[AdapterConfig | None, AdapterSummary | None, Sequence[Finding]]:
    """The adapter's configuration and tensors, each checked as far as it is there."""
    if files.adapter is None:
        return None, None, ()
    missing = FindingCollector()
    config_path, tensors_path = files.adapter / ADAPTER_CONFIG_FILE, files.adapter / ADAPTER_FILE
    config: AdapterConfig | None = None
    summary: AdapterSummary | None = None
    findings: list[Finding] = []
    if config_path.is_file():
        content = _read(config_path, MAX_ADAPTER_CONFIG)
        config, found = inspect_adapter_config(content, base_hub_id=None, name=files.name(config_path))
        findings += found
    else:
        message = (
            f"{ADAPTER_CONFIG_FILE} is missing beside the tensors. Save the adapter with save_pretrained."
        )
        missing.error("app.missing_file", message, files.name(config_path))
    if tensors_path.is_file():
        with _open(tensors_path) as file:
            size = tensors_path.stat().st_size
            summary, found = inspect_adapter(file, size, config, base, name=files.name(tensors_path))
        findings += found
    else:
        message = (
            f"{ADAPTER_FILE} is missing. A pickle (adapter_model.bin) is never opened; save the adapter with "
            "save_pretrained(…, safe_serialization=True)."
        )
        missing.error("app.missing_file", message, files.name(tensors_path))
    return config, summary, [*missing.collected(), *findings]


def _log(files: AppFiles) -> tuple[CommunicationLog | None, Sequence[Finding]]:
    if files.log is None:
        return None, ()
    return parse_communication_log(_read(files.log, MAX_LOG), name=files.name(files.log))


def _check_round(files: AppFiles, card: MethodCard, findings: FindingCollector) -> None:
    """The last checkpoint is what is evaluated, so it should be the last round's."""
    if files.adapter and files.round is not None and card.rounds is not None and files.round != card.rounds:
        message = (
            f"The last checkpoint is of round {files.round:,}, the configuration has {card.rounds:,} rounds. "
            "Send the last one, or the configuration of the run that made it."
        )
        findings.warning("app.round", message, files.name(files.adapter))


def _check_size(
    files: AppFiles,
    card: MethodCard | None,
    adapter_config: AdapterConfig | None,
    options: Options,
    findings: FindingCollector,
) -> None:
    assert options.max_base_parameters is not None
    name = card.base_model if card else adapter_config.base_model_name_or_path if adapter_config else None
    place = files.name(files.config) if files.config else ADAPTER_CONFIG_FILE
    parameters = options.base.parameters if options.base else None
    check_base_size(name, parameters, options.max_base_parameters, findings, place)


def _communication(
    files: AppFiles,
    card: MethodCard | None,
    adapter: AdapterSummary | None,
    log: CommunicationLog | None,
    *,
    challenge: Challenge,
    options: Options,
    findings: FindingCollector,
) -> Communication | None:
    """What the run sends by the adapter's tensors, else by the card and the base model; checked."""
    if card is None or files.config is None:
        return None
    parameters = adapter.parameters if adapter else None
    if parameters is None and options.base:
        parameters = adapter_parameters(card, options.base)
    derived = derive(card, parameters)
    place = files.name(files.config)
    stated = [(options.declared_bytes, "declared communication")]
    if log and files.log:
        stated.append((log.total_bytes, files.name(files.log)))
    known = [(amount, where) for amount, where in stated if amount is not None]
    if derived:
        known.append((derived.total_bytes, place))
        for amount, where in known[:-1]:
            check_declared(amount, derived, where, findings, tensors=adapter.tensor_count if adapter else 0)
    for amount, where in known:
        check_budget(amount, challenge.communication_budget_bytes, where, findings)
    return derived


def _read(path: Path, limit: int) -> bytes:
    """The file's bytes, one past `limit` at most: enough for the checks to refuse it."""
    with _open(path) as file:
        return file.read(limit + 1)


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
