"""LoRA: the update of a weight is the product of two matrices of a low rank (Hu et al., arXiv 2106.09685)."""

from __future__ import annotations

from evaluation.adapter_kinds.kind import AdapterKind, Part

_WEIGHT = (".weight", ".default.weight")
_BARE = ("", ".default")

LORA = AdapterKind(
    key="lora",
    title="LoRA",
    paper="arXiv 2106.09685",
    peft_type="LORA",
    settings={"use_dora": False},
    trained=True,
    parts=(
        Part("lora_A", _WEIGHT, ("rank", "columns"), None, "uniform"),
        Part("lora_B", _WEIGHT, ("rows", "rank"), None, "zeros"),
        Part("lora_embedding_A", _BARE, None, ("rank", "rows"), "zeros"),
        Part("lora_embedding_B", _BARE, None, ("columns", "rank"), "normal"),
    ),
)
