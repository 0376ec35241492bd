"""The gradient of a batch that the device has no room for at once, added up from parts of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from evaluation.federated.encoding import Tokens

SummedLoss = Callable[[Sequence[Tokens]], torch.Tensor]


@dataclass
class Room:
    """How many rows the device trains at once; None until it ran out of memory. Found by trying, and kept."""

    rows: int | None = None


def accumulate(
    summed: SummedLoss, batch: Sequence[Tokens], parameters: Sequence[torch.nn.Parameter], room: Room
) -> torch.Tensor:
    """Leave the gradient of the batch's mean loss in the parameters; returns that loss.

    The mean is over all tokens that are learnt in the batch, so that parts of it add up to the same gradient
    as the whole, each weighted by its tokens. When the memory runs out, the parts are halved and the batch
    begins anew. Raises torch.OutOfMemoryError where a single row is too much.
    """
    while True:
        loss = _tried(summed, batch, parameters, min(room.rows or len(batch), len(batch)))
        if loss is not None:
            return loss
        room.rows = max(1, min(room.rows or len(batch), len(batch)) // 2)


def _tried(
    summed: SummedLoss, batch: Sequence[Tokens], parameters: Sequence[torch.nn.Parameter], rows: int
) -> torch.Tensor | None:
    """The loss, with so many rows at once; None when there is no room for them, and no gradient either."""
    tokens = max(1, sum(row.learnt for row in batch))
    total = torch.zeros(())
    try:
        for start in range(0, len(batch), rows):
            loss = summed(batch[start : start + rows]) / tokens
            torch.autograd.backward(loss)
            total = total.to(loss.device) + loss.detach()
    except torch.OutOfMemoryError:
        if rows == 1:
            raise
    else:
        return total
    for parameter in parameters:
        parameter.grad = None
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None
