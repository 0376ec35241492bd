"""The whole check of an uploaded adapter, and what is known of it afterwards."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from evaluation.checkpoints.adapter_config import AdapterConfig
from evaluation.checkpoints.base_model import BaseModelTensors
from evaluation.checkpoints.fit import OVERWRITTEN, AdapterModule, BaseCopy, FitCheck
from evaluation.checkpoints.header import ADAPTER_FILE, TensorEntry, read_header
from evaluation.checkpoints.scan import FLOATS, TensorScan, scan, tensors_digest
from evaluation.checkpoints.spelling import Spelling, spelling
from evaluation.checkpoints.tensor_names import parse_name
from evaluation.findings import Finding, FindingCollector, excerpt


@dataclass(frozen=True, slots=True)
class AdapterSummary:
    """What is stored about a valid adapter; sizes in bytes.

    `sha256` is the file's digest, `tensors_digest` that of its tensors whatever their order, metadata or
    spelling of names; both are empty where only the header was read. `modules` are those that an evaluation
    loads, `full_weights` the tensors that replace parameters of the base model (modules_to_save). Copies of
    the base model's own weights count nowhere but in `size` and `sha256`.
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
    header_only: bool = False,
) -> tuple[AdapterSummary | None, tuple[Finding, ...]]:
    """Check the safetensors `file` of `size` bytes; the summary is None exactly when a finding is an error.

    Everything that can be told without a valid `config` or a known `base` is told when they are None.
    Memory stays within the header's limit and a few MiB. `name` is how the findings call the file. With
    `header_only` the tensors' bytes are not there yet: what only they tell is left out.
    """
    header, header_findings = read_header(file, size, name=name)
    if header is None:
        return None, header_findings
    findings = FindingCollector()
    spelt = spelling([entry.name for entry in header.tensors])
    if spelt.adapters:
        _report_several(spelt, name, findings)
        return None, findings.collected()
    if spelt.marks:
        text = (
            f"The file has {', and '.join(spelt.marks)}. Its tensors are read as if saved by save_pretrained."
        )
        findings.note("adapter.spelling", text, name)
    fit = FitCheck(config, base, spelt.names, name, findings).check(header.tensors)
    copied = {copy.entry.name for copy in fit.copies}
    own = [entry for entry in header.tensors if entry.name not in copied]
    scanned = None if header_only else scan(file, header)
    if scanned is not None:
        _check_copies(fit.copies, scanned.tensors, base, name, findings)
        _ValueCheck(spelt.names, scanned.tensors, name, findings).check(own)
    elif not header_only:
        text = "The file ended while it was read. Upload it again."
        findings.error("file.truncated", text, name)
    if findings.has_errors:
        return None, findings.collected()
    summary = AdapterSummary(
        sha256=scanned.sha256 if scanned else "",
        tensors_digest=tensors_digest(own, spelt.names, scanned) if scanned else "",
        size=size,
        tensor_count=len(own),
        parameters=sum(entry.elements for entry in own),
        tensor_bytes=sum(entry.end - entry.begin for entry in own),
        dtypes=tuple(sorted({entry.dtype for entry in own})),
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


def _report_several(spelt: Spelling, name: str, findings: FindingCollector) -> None:
    shown = ", ".join(excerpt(adapter, 40) or "(without a name)" for adapter in spelt.adapters[:8])
    text = (
        f"The file holds {len(spelt.adapters):,} adapters: {shown}. Save the one that is meant: "
        "save_pretrained(…, selected_adapters=[…])."
    )
    findings.error("adapter.several_adapters", text, name)


def _check_copies(
    copies: Sequence[BaseCopy],
    scans: Mapping[str, TensorScan],
    base: BaseModelTensors | None,
    name: str,
    findings: FindingCollector,
) -> None:
    """What repeats a weight of the base model has to be equal to it; then it is left out."""
    for copy in copies:
        place = f"{name}: {copy.entry.name}"
        known = base.digests_of(copy.stored) if base and copy.stored else {}
        digest = known.get(copy.entry.dtype)
        if digest is None:
            text = (
                "The tensor repeats a weight of the base model, and could not be compared with it here. It "
                "is left out; an evaluation refuses it where it differs."
            )
            findings.warning("adapter.base_copy", text, place, "unknown")
        elif digest == scans[copy.entry.name].sha256.hex():
            text = (
                "The tensor is the base model's own, bit for bit, as PEFT stores it at times. It is left out."
            )
            findings.note("adapter.base_copy", text, place, "equal")
        else:
            findings.error("adapter.base_weight", OVERWRITTEN, place, "base")


@dataclass(frozen=True)
class _ValueCheck:
    """Whether an adapter's values can be those of a trained one. `names` are PEFT's for the file's own."""

    names: Mapping[str, str]
    scans: Mapping[str, TensorScan]
    file_name: str
    findings: FindingCollector

    def check(self, tensors: Sequence[TensorEntry]) -> None:
        """Types that adapters have, finite values, any effect at all, and no part that was lost."""
        for entry in tensors:
            place, result = f"{self.file_name}: {entry.name}", self.scans[entry.name]
            if entry.dtype not in FLOATS:
                text = f"The data type is {entry.dtype}; save the adapter in F32, F16 or BF16."
                self.findings.error("adapter.dtype", text, place, entry.dtype)
            elif result.not_finite:
                text = (
                    f"{result.not_finite:,} of {entry.elements:,} values are NaN or infinite, the first at "
                    f"flat index {result.first_not_finite:,}. The training diverged; submit an earlier "
                    "round."
                )
                self.findings.error("adapter.not_finite", text, place, "values")
        if any(not entry.elements for entry in tensors) or not tensors:
            return  # an empty tensor has been reported by its shape
        is_idle = self._idle_modules(tensors)
        idle = [module for module, zero in is_idle.items() if zero]
        if is_idle and len(idle) == len(is_idle):
            if all(parse_name(self.names[entry.name]) for entry in tensors):
                text = (
                    "On every module a factor is zero, so the adapter changes nothing. Submit the trained "
                    "adapter."
                )
                self.findings.warning("adapter.no_effect", text, self.file_name)
        elif idle:
            text = (
                f"On {len(idle):,} of {len(is_idle):,} modules a whole factor is zero, first on {idle[0]}, "
                f"so that they stay as in the base model. {_LOST}"
            )
            self.findings.warning("adapter.zero_rows", text, self.file_name)
        self._check_rows(tensors)

    def _idle_modules(self, tensors: Sequence[TensorEntry]) -> Mapping[str, bool]:
        """Whether each module's update has a factor that is all zeros."""
        factors = defaultdict[str, list[bool]](list)
        for entry in tensors:
            parsed = parse_name(self.names[entry.name])
            if parsed is not None and parsed.part.first != "base":
                factors[parsed.module].append(self.scans[entry.name].all_zero)
        return {module: any(zero) for module, zero in factors.items()}

    def _check_rows(self, tensors: Sequence[TensorEntry]) -> None:
        """Rows of zeros in what begins as zeros: training reaches them all, a save of a part does not."""
        for entry in tensors:
            parsed, result = parse_name(self.names[entry.name]), self.scans[entry.name]
            if parsed is None or parsed.part.first != "zeros" or result.all_zero:
                continue
            if 2 * result.zero_rows >= entry.shape[0]:
                text = f"{result.zero_rows:,} of {entry.shape[0]:,} rows are exactly zero. {_LOST}"
                self.findings.warning("adapter.zero_rows", text, f"{self.file_name}: {entry.name}", "rows")


_LOST = (
    "That is how a sharded save (FSDP, DeepSpeed ZeRO-3) looks that lost what other processes held: gather "
    "the parameters before you save."
)
