"""Every check of a submission, in one order, whatever it lies in: a folder, a draft's files, a hub snapshot.

No model library is loaded and no code is run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.checkpoints import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_FILE,
    AdapterConfig,
    AdapterSummary,
    inspect_adapter,
    inspect_adapter_config,
)
from evaluation.checkpoints.adapter_config import MAX_SIZE as MAX_ADAPTER_CONFIG
from evaluation.findings import Finding, FindingCollector, errors_first, excerpt, has_errors
from evaluation.flowerconfig import CONFIG_FILE, inspect_app_config
from evaluation.flowerconfig import MAX_SIZE as MAX_CONFIG
from evaluation.flowerconfig.agreement import check_agreement
from evaluation.flowerconfig.code import MAX_SIZE as MAX_SOURCE
from evaluation.flowerconfig.code import strategy_in_code
from evaluation.inspection.app_bundle import check_bundles
from evaluation.inspection.base_model import SELECTED, KnownBase, check_base_size
from evaluation.inspection.communication_log import CommunicationLog
from evaluation.inspection.configured import configured_parameters
from evaluation.inspection.declared import DeclaredScore, check_declared_scores
from evaluation.inspection.flower_run import MAX_SIZE as MAX_RUN
from evaluation.inspection.flower_run import FlowerRun, parse_flower_run
from evaluation.inspection.logs import choose_log
from evaluation.inspection.material import Material
from evaluation.method.card import MethodCard
from evaluation.method.communication import (
    Communication,
    adapter_parameters,
    check_budget,
    check_declared,
    derive,
)
from evaluation.method.strategies import KNOWN as KNOWN_STRATEGIES
from evaluation.rules import Rules

DECLARED_COMMUNICATION = "communication, declared"
_WHAT_TO_DO = {
    ADAPTER_FILE: "A pickle (adapter_model.bin) is never opened; save the adapter with "
    "save_pretrained(…, safe_serialization=True).",
    ADAPTER_CONFIG_FILE: "PEFT writes it beside the tensors; save the adapter with save_pretrained.",
    CONFIG_FILE: "Add that of the Flower app as you ran it.",
}


_JOIN = (
    """python -c "from glob import glob; from safetensors.torch import load_file, save_file; """
    "save_file({name: tensor for part in glob('adapter_model-*.safetensors') "
    """for name, tensor in load_file(part).items()}, 'adapter_model.safetensors')\""""
)


@dataclass(frozen=True)
class Known:
    """What is known of a submission beside its files; None where it is not known, or not stated.

    `is_exempt`: an entry of the site's own, which may leave what the challenge asks of a Flower app and its
    base model, as a demonstration has fewer clients. The communication budget binds it too.
    """

    base: KnownBase | None = None
    declared_bytes: float | None = None
    declared_parameters: float | None = None
    declared_scores: Sequence[DeclaredScore] = ()
    is_exempt: bool = False


@dataclass(frozen=True)
class Inspection:
    """All that was found, errors first; what could not be read is None."""

    rules: Rules
    card: MethodCard | None
    adapter_config: AdapterConfig | None
    adapter: AdapterSummary | None
    communication: Communication | None
    log: CommunicationLog | None
    flower_run: FlowerRun | None
    findings: tuple[Finding, ...]

    @property
    def has_errors(self) -> bool:
        return has_errors(self.findings)


NOTHING_KNOWN = Known()


def inspect(material: Material, rules: Rules, known: Known = NOTHING_KNOWN) -> Inspection:
    """Check a submission in one pass. Equal material gives equal findings in equal order, wherever it lies.

    Raises DataError when a file of a folder cannot be read.
    """
    base = known.base or KnownBase()
    collector = FindingCollector()
    _check_missing(material, collector)
    card, card_findings = _card(material, None if known.is_exempt else rules)
    adapter_config, adapter_config_findings = _adapter_config(material, base)
    adapter, adapter_findings = _adapter(material, adapter_config, base)
    if not known.is_exempt:
        _check_size(material, card, adapter_config, base, rules=rules, findings=collector)
    _check_round(material, card, collector)
    communication = _derived(card, adapter, adapter_config, base)
    log, log_findings = choose_log(material.logs, card, communication, material.round)
    run, run_findings = _flower_run(material)
    stated = [(known.declared_bytes, DECLARED_COMMUNICATION)]
    stated += [(log.total_bytes, log.name)] if log else []
    stated += [(run.total_bytes, material.flower_run.name)] if run and material.flower_run else []
    _check_communication(communication, adapter, stated, rules=rules, findings=collector)
    _check_parameters(known.declared_parameters, adapter, collector)
    found = [
        *material.findings,
        *card_findings,
        *adapter_config_findings,
        *adapter_findings,
        *(check_agreement(card, adapter_config, adapter) if card else ()),
        *log_findings,
        *run_findings,
        *check_bundles(material.bundles, run, material.config),
        *collector.collected(),
        *check_declared_scores(known.declared_scores),
    ]
    return Inspection(rules, card, adapter_config, adapter, communication, log, run, errors_first(found))


def named_base_model(material: Material) -> str | None:
    """The base model that the files name, for whoever has to select one; unchecked."""
    card, _ = _card(material, None)
    if card and card.base_model:
        return card.base_model
    config, _ = _adapter_config(material, KnownBase())
    return config.base_model_name_or_path if config else None


def _check_missing(material: Material, findings: FindingCollector) -> None:
    for name in material.missing:
        if name == ADAPTER_FILE and material.shards:
            shown = ", ".join(excerpt(shard, 60) for shard in material.shards[:3])
            message = (
                f"The adapter is split into {len(material.shards):,} files ({shown}), which PEFT does not "
                f"load either. Join them: {_JOIN}"
            )
            findings.error("file.sharded", message, name)
            continue
        findings.error("submission.missing_file", f"This file is missing. {_WHAT_TO_DO[name]}", name)


def _card(material: Material, rules: Rules | None) -> tuple[MethodCard | None, Sequence[Finding]]:
    """The card; a strategy that the configuration does not name, or not so that it is known, is looked
    for in the app's code."""
    if material.config is None:
        return None, ()
    card, findings = inspect_app_config(material.config.content(MAX_CONFIG), rules, name=material.config.name)
    if card and card.strategy not in KNOWN_STRATEGIES:
        sources = [source.content(MAX_SOURCE).decode("utf-8", "replace") for source in material.sources]
        card = dataclasses.replace(card, strategy=strategy_in_code(sources) or card.strategy)
    return card, findings


def _adapter_config(material: Material, base: KnownBase) -> tuple[AdapterConfig | None, Sequence[Finding]]:
    file = material.adapter_config
    if file is None:
        return None, ()
    return inspect_adapter_config(
        file.content(MAX_ADAPTER_CONFIG),
        base_hub_id=base.hub_id,
        base_revision=base.revision,
        base_aliases=base.aliases,
        name=file.name,
    )


def _adapter(
    material: Material, config: AdapterConfig | None, base: KnownBase
) -> tuple[AdapterSummary | None, Sequence[Finding]]:
    """The tensors, checked as far as their configuration and the base model are there."""
    file = material.adapter
    if file is None:
        return None, ()
    with file.opened() as tensors:
        return inspect_adapter(
            tensors, file.size, config, base.tensors, name=file.name, header_only=file.header_only
        )


def _check_size(
    material: Material,
    card: MethodCard | None,
    adapter_config: AdapterConfig | None,
    base: KnownBase,
    *,
    rules: Rules,
    findings: FindingCollector,
) -> None:
    """The selected base model, else the one that the files name, is within the limit."""
    named = card.base_model if card else adapter_config.base_model_name_or_path if adapter_config else None
    file = material.config or material.adapter_config
    place = file.name if file and base.hub_id is None else SELECTED
    check_base_size(base.hub_id or named, base.size, rules.max_base_parameters, findings, place)


def _check_round(material: Material, card: MethodCard | None, findings: FindingCollector) -> None:
    """The last checkpoint is what is evaluated, so it should be the last round's."""
    if card and card.rounds is not None and material.round not in (None, card.rounds):
        message = (
            f"The last checkpoint is of round {material.round:,}, the configuration has {card.rounds:,} "
            "rounds. Send the last one, or the configuration of the run that made it."
        )
        findings.warning("app.round", message, material.checkpoint)


def _derived(
    card: MethodCard | None, adapter: AdapterSummary | None, config: AdapterConfig | None, base: KnownBase
) -> Communication | None:
    """What the run sends by the adapter's tensors, else by its configuration or the card on a base model."""
    if card is None:
        return None
    if adapter:
        return derive(card, adapter.parameters)
    if base.tensors is None:
        return None
    configured = configured_parameters(config, base.tensors) if config else None
    return derive(card, configured or adapter_parameters(card, base.tensors))


def _flower_run(material: Material) -> tuple[FlowerRun | None, Sequence[Finding]]:
    file = material.flower_run
    return parse_flower_run(file.content(MAX_RUN), name=file.name) if file else (None, ())


def _check_communication(
    derived: Communication | None,
    adapter: AdapterSummary | None,
    stated: Sequence[tuple[float | None, str]],
    *,
    rules: Rules,
    findings: FindingCollector,
) -> None:
    """Stated figures, each with its place, against the derived one, and all against the budget."""
    for amount, place in stated:
        if amount is None:
            continue
        check_budget(amount, rules.communication_budget_bytes, place, findings)
        if derived:
            tensors = adapter.tensor_count if adapter else 0
            check_declared(amount, derived, place, findings, tensors=tensors)
    if derived:
        check_budget(derived.total_bytes, rules.communication_budget_bytes, CONFIG_FILE, findings)


def _check_parameters(
    declared: float | None, adapter: AdapterSummary | None, findings: FindingCollector
) -> None:
    if adapter and declared is not None and declared != adapter.parameters:
        findings.warning(
            "submission.parameters_differ",
            f"{declared:,.0f} trainable parameters are declared, the adapter has {adapter.parameters:,}. "
            "Check the number, or say in the description what else was trained.",
            "trainable parameters, declared",
        )
