"""DoRA: LoRA that changes directions, beside a trained magnitude (Liu et al., arXiv 2402.09353)."""

from __future__ import annotations

from dataclasses import replace

from evaluation.adapter_kinds.kind import Part
from evaluation.adapter_kinds.lora import LORA

DORA = replace(
    LORA,
    key="dora",
    title="DoRA",
    paper="arXiv 2402.09353",
    settings={"use_dora": True},
    parts=(
        *LORA.parts,
        Part(
            "lora_magnitude_vector",
            ("", ".weight", ".default.weight"),
            ("rows",),
            ("columns",),
            "base",
            unexpected="The file has DoRA magnitudes but use_dora is false. Upload the two files that match.",
        ),
    ),
    beyond_product="DoRA's column norms and magnitudes change",
)
