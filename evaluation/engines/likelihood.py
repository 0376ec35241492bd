"""Log-probabilities of given tokens: texts go through the model in batches, and nothing is generated."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from evaluation.engines.engine import Answered, Text

_TOKENS, _ROWS = 1_024, 16
"""Of a batch at most: the logits of all its positions stand in memory at once."""


@dataclass(frozen=True)
class _Batch:
    places: tuple[int, ...]
    texts: tuple[Text, ...]

    @property
    def width(self) -> int:
        return max(len(text.tokens) for text in self.texts)

    @property
    def first(self) -> int:
        """The first position whose next token is asked for."""
        return min(text.scored[0] for text in self.texts) - 1


@torch.inference_mode()
def log_probabilities(model: Any, texts: Sequence[Text], done: Answered) -> list[tuple[float, ...]]:
    """Of each text's `scored` tokens, in its order; natural logarithms."""
    found: list[tuple[float, ...]] = [()] * len(texts)
    keeps = "logits_to_keep" in inspect.signature(model.forward).parameters
    through = 0
    for batch in _batches(texts):
        for place, values in zip(batch.places, _of_batch(model, batch, keeps=keeps), strict=True):
            found[place] = values
        through += len(batch.texts)
        done(through)
    return found


def _batches(texts: Sequence[Text]) -> Iterator[_Batch]:
    """Texts of like length together."""
    order = sorted(range(len(texts)), key=lambda place: len(texts[place].tokens))
    places: list[int] = []
    for place in order:
        if places and (len(places) == _ROWS or len(texts[place].tokens) * (len(places) + 1) > _TOKENS):
            yield _Batch(tuple(places), tuple(texts[one] for one in places))
            places = []
        places.append(place)
    if places:
        yield _Batch(tuple(places), tuple(texts[one] for one in places))


def _of_batch(model: Any, batch: _Batch, *, keeps: bool) -> Iterator[tuple[float, ...]]:
    """Padded behind, where no earlier token sees it."""
    width, device = batch.width, model.device
    ids = torch.zeros(len(batch.texts), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, text in enumerate(batch.texts):
        ids[row, : len(text.tokens)] = torch.tensor(text.tokens)
        mask[row, : len(text.tokens)] = 1
    kept = width - batch.first if keeps else width
    options = {"logits_to_keep": kept} if keeps else {}
    logits = model(ids.to(device), attention_mask=mask.to(device), use_cache=False, **options).logits.float()
    totals = logits.logsumexp(-1)
    offset = width - kept
    for row, text in enumerate(batch.texts):
        before = [position - 1 - offset for position in text.scored]
        tokens = [text.tokens[position] for position in text.scored]
        chosen = logits[row, before, tokens] - totals[row, before]
        yield tuple(chosen.tolist())
