"""The next token of each row: the likeliest one, or one drawn by the row's own seed."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch

from evaluation.benchmarks.samples import Decoding


def next_tokens(logits: torch.Tensor, decoding: Decoding, draws: Sequence[tuple[int, int]]) -> list[int]:
    """One token for each row of `logits` (rows, vocabulary).

    `draws` holds the seed of each row and the number of tokens that it has so far. What is drawn depends on
    these two and the logits alone: neither on the other rows nor on what was drawn before.
    """
    if decoding.temperature <= 0:
        chosen: list[int] = logits.argmax(-1).tolist()
        return chosen
    # In double precision, so that the share of the last token kept does not hang on rounding.
    shares, order = (
        (logits.double() / decoding.temperature).softmax(-1).sort(dim=-1, descending=True, stable=True)
    )
    upto = shares.cumsum(-1)
    # The smallest set that holds `top_p` ends with the token that reaches it (arXiv 1904.09751).
    kept = (upto - shares < decoding.top_p).sum(-1, keepdim=True).clamp(min=1)
    total = upto.gather(-1, kept - 1)
    points = torch.tensor([[random.Random(f"{seed}/{step}").random()] for seed, step in draws])  # noqa: S311
    drawn = torch.searchsorted(upto, points.to(total) * total, right=True).minimum(kept - 1)
    return order.gather(-1, drawn).squeeze(-1).tolist()
