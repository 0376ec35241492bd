"""How much goes through a model at once: what fits the device, and less for a while where it did not."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import torch

from evaluation.engines.memory import Needs

# Of the free memory so much is planned with: allocators lose some, and what a model needs is only estimated.
_PLANNED = 0.8
# For reading a batch, for the pool that is decoded, for its copy when others join, and for pools that wait.
_PARTS = 4
# Calls of the model that go well before more is tried again.
_PATIENCE = 128


@dataclass(frozen=True)
class Limits:
    """Of a batch of prompts: tokens, padding included, and rows. Of a pool: rows, and positions in all."""

    tokens: int
    rows: int
    pool_rows: int
    pool_tokens: int

    def halved(self) -> Limits:
        return Limits(*(max(1, limit // 2) for limit in astuple(self)))

    def doubled(self, most: Limits) -> Limits:
        """Twice as much, none above its limit in `most`."""
        pairs = zip(astuple(self), astuple(most), strict=True)
        return Limits(*(min(2 * limit, highest) for limit, highest in pairs))

    def fitting(self, free: int, needs: Needs) -> Limits:
        """What of these limits fits into so many free bytes, and one row at least.

        Where it is less, it is a power of two, so that a few bytes more or less put no other rows together.
        """
        part = int(free * _PLANNED) // _PARTS
        fits = Limits(
            tokens=part // (needs.kept + needs.read),
            rows=part // needs.row,
            pool_rows=part // needs.row,
            pool_tokens=part // needs.kept,
        )
        pairs = zip(astuple(self), astuple(fits), strict=True)
        return Limits(*(most if room >= most else _power_of_two(room) for most, room in pairs))


# On a CPU batches of 200 to 500 tokens are the fastest: fewer leave the matrix products short of work, with
# more the activations leave the cache and the allocator returns them to the system after each operation.
_ON_CPU = Limits(tokens=384, rows=64, pool_rows=64, pool_tokens=8_192)
# On a GPU its memory decides; beyond these the products are large enough (estimated, not measured).
_ON_CUDA = Limits(tokens=16_384, rows=128, pool_rows=256, pool_tokens=262_144)


def useful(device: torch.device) -> Limits:
    """Above these a device gains nothing."""
    return _ON_CUDA if device.type == "cuda" else _ON_CPU


def _power_of_two(number: int) -> int:
    """The largest that is not above the number, and 1 for what is below that."""
    return 1 << max(0, number.bit_length() - 1)


class Pace:
    """The limits in force: halved when memory runs out, and doubled again after enough calls went well.

    Memory that somebody else took for a while is so used again, and where growing fails each time, it is
    tried ever more rarely.
    """

    def __init__(self, most: Limits) -> None:
        self._most = most
        self._patience = _PATIENCE
        self._went_well = 0
        self._has_grown = False
        self.limits = most

    def ran_out(self) -> None:
        """Go on with half of everything."""
        self.limits = self.limits.halved()
        self._went_well = 0
        if self._has_grown:
            self._patience *= 2
            self._has_grown = False

    def went_well(self) -> bool:
        """Count a call of the model. Returns whether the limits have grown with it."""
        if self.limits == self._most:
            return False
        self._went_well += 1
        if self._went_well < self._patience:
            return False
        self.limits = self.limits.doubled(self._most)
        self._went_well = 0
        self._has_grown = True
        return True
