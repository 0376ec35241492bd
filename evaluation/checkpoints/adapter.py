"""The whole check of an uploaded adapter, and what is known of it afterwards."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from evaluation.checkpoints.adapter_config import AdapterConfig
from evaluation.checkpoints.base_model import BaseModelTensors
from evaluation.checkpoints.fit import AdapterModule, FitCheck
from evaluation.checkpoints.header import ADAPTER_FILE, TensorEntry, read_header
from evaluation.checkpoints.scan import FLOATS, TensorScan, scan
from evaluation.checkpoints.tensor_names import parse_name
from evaluation.findings import Finding, FindingCollector


@dataclass(frozen=True, slots=True)
class AdapterSummary:
    """What is stored about a valid adapter; sizes in bytes.

    `sha256` is the file's digest, `tensors_digest` that of its tensors whatever their order, metadata
    or spelling of names. `modules` are those that an evaluation loads, `full_weights` the tensors that
    replace parameters of the base model (modules_to_save).
    """

    sha256: str
    tensors_digest: str
    size: int
    tensor_count: int
    parameters: int
    tensor_bytes: int
    dtypes: tuple[str, ...]
    ranks: tuple[int, ...]
    modules: tuple[AdapterModule, ...]
    full_weights: tuple[str, ...]


def inspect_adapter(
    file: BinaryIO,
    size: int,
    config: AdapterConfig | None,
    base: BaseModelTensors | None,
    *,
    name: str = ADAPTER_FILE,
) -> tuple[AdapterSummary | None, tuple[Finding, ...]]:
    """Check the safetensors `file` of `size` bytes; the summary is None exactly when a finding is an error.

    Everything that can be told without a valid `config` or a known `base` is told when they are None.
    Memory stays within the header's limit and a few MiB. `name` is how the findings call the file.
    """
    header, header_findings = read_header(file, size, name=name)
    if header is None:
        return None, header_findings
    findings = FindingCollector()
    fit = FitCheck(config, base, name, findings).check(header.tensors)
    scanned = scan(file, header)
    if scanned is None:
        text = "The file ended while it was read. Upload it again."
        findings.error("file.truncated", text, name)
        return None, findings.collected()
    _check_values(header.tensors, scanned.tensors, name, findings)
    if findings.has_errors:
        return None, findings.collected()
    summary = AdapterSummary(
        sha256=scanned.sha256,
        tensors_digest=scanned.tensors_digest,
        size=size,
        tensor_count=len(header.tensors),
        parameters=sum(entry.elements for entry in header.tensors),
        tensor_bytes=size - header.data_start,
        dtypes=tuple(sorted({entry.dtype for entry in header.tensors})),
        ranks=tuple(sorted({module.rank for module in fit.modules})),
        modules=fit.modules,
        full_weights=fit.full_weights,
    )
    return summary, findings.collected()


def normalised_adapter_config(
    config: AdapterConfig, base_model_dir: str | Path, summary: AdapterSummary | None = None
) -> dict[str, object]:
    """The adapter_config.json to load a checked adapter with PEFT 0.21: known and checked keys only.

    With `summary` targets, ranks and alphas are spelt out module by module, so that no regular expression
    of a stranger is evaluated and exactly the inspected tensors are loaded. Without it, they are as sent.
    """
    result: dict[str, object] = {
        "peft_type": config.kind.peft_type,
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": str(base_model_dir),
        "inference_mode": True,
        "r": config.r,
        "lora_alpha": config.alpha,
        "lora_dropout": config.dropout,
        "bias": "none",
        **config.kind.settings,
        "use_rslora": config.use_rslora,
        "fan_in_fan_out": config.fan_in_fan_out,
        "init_lora_weights": True,
    }
    return result | (_as_sent(config) if summary is None else _spelt_out(config, summary))


def _as_sent(config: AdapterConfig) -> dict[str, object]:
    sent: Mapping[str, Sequence[object] | Mapping[str, float] | str | None] = {
        "target_modules": config.target_modules,
        "exclude_modules": config.exclude_modules,
        "modules_to_save": config.modules_to_save,
        "layers_to_transform": config.layers_to_transform,
        "layers_pattern": config.layers_pattern,
        "rank_pattern": config.rank_pattern,
        "alpha_pattern": config.alpha_pattern,
    }
    return {key: list(value) if isinstance(value, tuple) else value for key, value in sent.items() if value}


def _spelt_out(config: AdapterConfig, summary: AdapterSummary) -> dict[str, object]:
    # PEFT takes the first key that a module's name ends in, so longer names have to come first.
    modules = sorted(summary.modules, key=lambda module: (-len(module.name), module.name))
    ranks = {module.name: module.rank for module in modules}
    alphas = {module.name: module.alpha for module in modules}
    return {
        "target_modules": sorted(ranks),
        "rank_pattern": ranks if set(ranks.values()) != {config.r} else {},
        "alpha_pattern": alphas if set(alphas.values()) != {config.alpha} else {},
        "modules_to_save": list(config.modules_to_save) or None,
    }


def _check_values(
    tensors: Sequence[TensorEntry], scans: Mapping[str, TensorScan], name: str, findings: FindingCollector
) -> None:
    """Types that adapters have, finite values, and any effect at all."""
    for entry in tensors:
        place, result = f"{name}: {entry.name}", scans[entry.name]
        if entry.dtype not in FLOATS:
            text = f"The data type is {entry.dtype}; save the adapter in F32, F16 or BF16."
            findings.error("adapter.dtype", text, place)
        elif result.not_finite:
            text = (
                f"{result.not_finite:,} of {entry.elements:,} values are NaN or infinite, the first at flat "
                f"index {result.first_not_finite:,}. The training diverged; submit an earlier round."
            )
            findings.error("adapter.not_finite", text, place)
    if _changes_nothing(tensors, scans):
        text = "On every module a factor is zero, so the adapter changes nothing. Submit the trained adapter."
        findings.warning("adapter.no_effect", text, name)


def _changes_nothing(tensors: Sequence[TensorEntry], scans: Mapping[str, TensorScan]) -> bool:
    """Whether each module's update has a factor that is all zeros, and there is nothing else."""
    factors = defaultdict[str, list[bool]](list)
    for entry in tensors:
        parsed = parse_name(entry.name)
        if parsed is None:
            return False
        if parsed.part.first != "base":
            factors[parsed.module].append(scans[entry.name].all_zero)
    return bool(factors) and all(any(zero) for zero in factors.values())
