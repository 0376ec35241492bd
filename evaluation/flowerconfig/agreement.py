"""Whether an app's configuration and an adapter can be of the same run."""

from __future__ import annotations

from collections.abc import Iterable

from evaluation.checkpoints import ADAPTER_CONFIG_FILE, AdapterConfig, AdapterSummary
from evaluation.checkpoints.base_names import bare_name
from evaluation.checkpoints.targets import is_all_linear
from evaluation.findings import Finding, FindingCollector, excerpt
from evaluation.method.card import MethodCard
from evaluation.method.strategies import on_card

_ADVICE = "Send the two that belong together; write into the file what `flwr run --run-config` changed."


def check_agreement(
    card: MethodCard, config: AdapterConfig | None, summary: AdapterSummary | None
) -> tuple[Finding, ...]:
    """A warning for each value in which the card and a checked adapter differ; what either leaves out agrees.

    Ranks are those of the tensors where `summary` is given, since strategies may give modules their own; one
    that merges a residual into the adapter makes the rank, and alpha with it, other than the run's.
    """
    findings = FindingCollector()

    def differ(what: str, key: str, stated: object, found: object) -> None:
        message = f"The app's configuration says {what} {stated}, the adapter has {found}. {_ADVICE}"
        findings.warning("config.adapter_differs", message, f"{ADAPTER_CONFIG_FILE}: {key}")

    if config is None:
        return ()
    ranks = summary.ranks if summary else (config.r,)
    strategy = on_card(card.strategy or "")
    own_rank = strategy is None or not strategy.grows
    if own_rank and card.rank is not None and card.rank not in ranks:
        differ("rank", "r", card.rank, _listed(ranks))
    if own_rank and card.alpha is not None and card.alpha != config.alpha:
        differ("alpha", "lora_alpha", f"{card.alpha:g}", f"{config.alpha:g}")
    use_dora = config.kind.use_dora
    if card.use_dora is not None and card.use_dora != use_dora:
        differ("DoRA", "use_dora", _yes(card.use_dora), _yes(use_dora))
    stated, found = _plain_names(card.target_modules), _plain_names(config.target_modules)
    if stated and found and stated != found:
        differ("target modules", "target_modules", _listed(sorted(stated)), _listed(sorted(found)))
    base = config.base_model_name_or_path
    if card.base_model and base and bare_name(card.base_model) != bare_name(base) and not _is_checkout(base):
        shown = f'"{excerpt(card.base_model)}"', f'"{excerpt(base)}"'
        differ("base model", "base_model_name_or_path", *shown)
    return findings.collected()


def _plain_names(targets: tuple[str, ...] | str | None) -> frozenset[str]:
    """Targets that are names of modules; patterns and "all-linear" can only be compared on a base model."""
    names = (targets,) if isinstance(targets, str) else targets or ()
    if is_all_linear(names):
        return frozenset()
    plain = all(name.replace("_", "a").replace(".", "a").isalnum() for name in names)
    return frozenset(names) if plain else frozenset()


def _is_checkout(path: str) -> bool:
    """Whether the folder's name says nothing of the model in it: a commit in a hub cache, or `./model`."""
    return path.startswith(".") or "snapshots" in path.replace("\\", "/").split("/")


def _listed(values: Iterable[object]) -> str:
    shown = [excerpt(str(value), 40) for value in values]
    return ", ".join(shown[:8]) + (" …" if len(shown) > 8 else "")


def _yes(value: bool) -> str:
    return "on" if value else "off"
