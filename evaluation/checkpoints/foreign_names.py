"""Tensors in an adapter's file that are not LoRA's as PEFT names them: what wrote them, and what to do."""

from __future__ import annotations

import re

_CONVERT = "Convert the adapter to PEFT's format, and load it with PEFT once before you send it."
_KINDS = (
    (
        r"token_adapter|trainable_tokens",
        "Trained tokens (trainable_token_indices) are not supported. Train without them.",
    ),
    (
        r"lora_[AB](\.\w+)?\.bias$",
        "Biases on LoRA (lora_bias) are not supported. Train with lora_bias=False.",
    ),
    (
        r"\.lora_[ab](\.weight)?$",
        f"MLX and torchtune write such names (lora_a, lora_b). {_CONVERT}",
    ),
    (
        r"lora[_.](down|up)\b|\.alpha$",
        f"Tools for image models write such names (lora_down, lora_up). {_CONVERT}",
    ),
    (
        r"\.lora_[AB]$",
        f"loralib writes such names, without .weight at their end. {_CONVERT}",
    ),
    (
        r"lora_E$|ranknum$|ia3_l|prompt_embeddings|prompt_encoder|oft_[rR]|boft_|hada_|lokr_|vera_lambda"
        r"|fourierft|vblora|adaption_",
        "It belongs to another kind of adapter than LoRA. Train and send LoRA or DoRA.",
    ),
    (
        r"(^|\.)(v_head|value_head|score)\.",
        "It is a head for values or classes, as reward models have. Send the adapter without it.",
    ),
    (
        r"absmax|quant_map|quant_state|\.SCB$|weight_format$",
        "It belongs to a quantised base model. Save the adapter with save_pretrained of the PEFT model, not "
        "the whole model.",
    ),
    (
        r"optimizer|exp_avg|\.step$",
        "It belongs to an optimiser. Send the adapter alone.",
    ),
)


# Of these the configuration tells as well, whose own finding is enough.
_CONFIGURED = (_KINDS[0], _KINDS[1], _KINDS[5], _KINDS[6])


def what_it_is(name: str) -> str:
    """What is known of a tensor by its name, and what to do; empty where nothing is."""
    return next((text for pattern, text in _KINDS if re.search(pattern, name)), "")


def is_configured(name: str) -> bool:
    """Whether a tensor is there because of a key of the configuration, such as its peft_type."""
    return any(re.search(pattern, name) for pattern, _ in _CONFIGURED)
