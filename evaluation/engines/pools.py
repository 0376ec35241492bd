"""Rows that are decoded in lockstep, and where they wait until there are enough of about the same width."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from evaluation.engines import kv_cache
from evaluation.engines.batches import Prompt

_LEAST_CEILING = 64


@dataclass
class Pool:
    """Rows whose last token is still to be read, and the cache of all tokens before it.

    `cache` is of use only while some row may have another token: one of this engine's own (kv_cache), or of
    a single row one that the model made. `width` counts the positions in it, padding included. `mask`
    (rows, width) is False where a row has only padding in the cache; None without padding.
    """

    rows: list[Prompt]
    cache: Any
    width: int
    mask: torch.Tensor | None

    @property
    def ceiling(self) -> int:
        """The width class: the power of two that the width has not reached yet."""
        return int(max(_LEAST_CEILING, 1 << self.width.bit_length()))

    @torch.inference_mode()
    def remove(self, position: int) -> Prompt:
        """Take a row out; the last one moves into its place."""
        removed, self.rows[position] = self.rows[position], self.rows[-1]
        self.rows.pop()
        if self.rows:
            for layer in self.cache.layers:
                layer.remove(position)
            if self.mask is not None:
                self.mask[position] = self.mask[-1]
                self.mask = self.mask[:-1]
        return removed


@torch.inference_mode()
def chosen(pool: Pool, positions: Sequence[int]) -> Pool:
    """A pool of some of the rows that does not hold on to the memory of the others."""
    if len(positions) == len(pool.rows):
        return pool
    mask = None if pool.mask is None else pool.mask[list(positions)]
    return Pool([pool.rows[p] for p in positions], kv_cache.selected(pool.cache, positions), pool.width, mask)


@torch.inference_mode()
def merged(pools: Sequence[Pool]) -> Pool:
    """One pool of all rows, padded on the left to the widest."""
    if len(pools) == 1:
        return pools[0]
    rows = [row for pool in pools for row in pool.rows]
    width = max(pool.width for pool in pools)
    mask = None
    if any(pool.mask is not None or pool.width < width for pool in pools):
        mask = pools[0].cache.layers[0].keys.new_zeros(len(rows), width, dtype=torch.bool)
        start = 0
        for pool in pools:
            own = True if pool.mask is None else pool.mask
            mask[start : start + len(pool.rows), width - pool.width :] = own
            start += len(pool.rows)
    return Pool(rows, kv_cache.merged([pool.cache for pool in pools]), width, mask)


class Shelves:
    """Pools that wait, by width class: merged with others of theirs, none is padded to twice its width."""

    def __init__(self) -> None:
        self._shelves: dict[int, list[Pool]] = defaultdict(list)

    def __bool__(self) -> bool:
        return any(self._shelves.values())

    def add(self, pool: Pool) -> None:
        if pool.rows:
            self._shelves[pool.ceiling].append(pool)

    def take(self, rows: int, tokens: int, *, only_full: bool) -> list[Pool]:
        """Pools to be merged, of at most `rows` rows and `tokens` positions, or one that alone exceeds these.

        They come from the narrowest shelf that has so many, else, unless `only_full`, the narrowest of all.
        """
        waiting = sorted(ceiling for ceiling, pools in self._shelves.items() if pools)
        for ceiling in waiting:
            most = max(1, min(rows, tokens // ceiling))
            if sum(len(pool.rows) for pool in self._shelves[ceiling]) >= most:
                return self._take(ceiling, most)
        if only_full or not waiting:
            return []
        return self._take(waiting[0], rows)

    def _take(self, ceiling: int, most: int) -> list[Pool]:
        shelf = self._shelves[ceiling]
        taken = [shelf.pop(0)]
        count = len(taken[0].rows)
        while shelf and count + len(shelf[0].rows) <= most:
            taken.append(shelf.pop(0))
            count += len(taken[-1].rows)
        return taken

    def clear(self) -> list[Prompt]:
        """Drop all pools with their caches, and return their rows."""
        rows = [row for pools in self._shelves.values() for pool in pools for row in pool.rows]
        self._shelves.clear()
        return rows
