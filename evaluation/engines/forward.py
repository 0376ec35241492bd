"""Calls of a causal language model on batches: what it takes, and what is kept of what it returns."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from transformers import DynamicCache

from evaluation.engines import kv_cache
from evaluation.engines.batches import Batch
from evaluation.engines.pools import Pool
from evaluation.errors import ModelError

# What models call the memory of earlier tokens that they take and return.
_CACHES = ("past_key_values", "cache_params", "state")


class Forward:
    """A model's forward pass, for logits of the last position only. Raises ModelError if it has no cache.

    `pad` is the token that stands for padding; it is masked everywhere, so any will do. `roomy` says whether
    the model's memory is keys and values alone, so that rows can be padded, cut out and put together;
    `shares` whether a prefix can be shared, which may leave a gap of padding between it and the rest.
    Where it is not roomy, and where rows may not go `together`, the model keeps a memory of its own.
    """

    def __init__(self, model: Any, pad: int, *, together: bool = True, sharing: bool = True) -> None:
        self._model = model
        self._pad = pad
        parameters = inspect.signature(model.forward).parameters
        self._takes_positions = "position_ids" in parameters
        names = [name for name in _CACHES if name in parameters]
        if not names:
            raise ModelError(f"a {type(model).__name__} has no cache, without which it cannot be evaluated")
        self._cache_name = names[0]
        self._last_only = {"logits_to_keep": 1} if "logits_to_keep" in parameters else {}
        self.roomy = together and kv_cache.is_roomy(kv_cache.new_cache(model.config))
        self.shares = sharing and self.roomy and self._takes_gaps()

    def _takes_gaps(self) -> bool:
        """Whether the model counts positions as it is told, and attends wherever the mask does.

        Windows would count the gap too. Those that are not in the config (GPT-Neo's) are in attention of a
        model's own, which is not the library's common one.
        """
        common = bool(getattr(self._model, "_supports_attention_backend", False))
        return self._takes_positions and common and not kv_cache.has_windows(self._model.config)

    @torch.inference_mode()
    def prefix(self, tokens: tuple[int, ...], before: DynamicCache | None) -> DynamicCache:
        """The cache of tokens that stand behind those of `before`, which is left as it is."""
        cache = self._cache(before, 1)
        assert cache is not None, "only what is roomy is shared"
        start = 0 if before is None else before.get_seq_length()
        self._call([list(tokens)], None, [list(range(start, start + len(tokens)))], cache, keep=True)
        return cache

    @torch.inference_mode()
    def read(self, batch: Batch, prefix: DynamicCache | None) -> tuple[torch.Tensor, Pool]:
        """Logits (rows, vocabulary) behind each prompt, and the rows as a pool.

        The pool's cache is of use only if some row may have more than one token: else none is kept where
        that saves time.
        """
        rest = [list(row.tokens[batch.shared :]) for row in batch.rows]
        width = max(map(len, rest))
        gaps = [width - len(tokens) for tokens in rest]
        cache = self._cache(prefix, len(rest))
        ids = [[*[self._pad] * gap, *tokens] for tokens, gap in zip(rest, gaps, strict=True)]
        positions = [[batch.shared + max(0, i - gap) for i in range(width)] for gap in gaps]
        mask = None
        if any(gaps):
            shared = [True] * batch.shared
            mask = self._tensor([shared + [False] * gap + [True] * (width - gap) for gap in gaps])
        keep = prefix is not None or any(row.budget > 1 for row in batch.rows)
        logits, cache = self._call(ids, mask, positions, cache, keep=keep)
        return logits, Pool(list(batch.rows), cache, batch.width, mask)

    @torch.inference_mode()
    def advance(self, pool: Pool) -> torch.Tensor:
        """Logits (rows, vocabulary) behind the last token of each row, which joins the pool's cache."""
        pool.width += 1
        if pool.mask is not None:
            pool.mask = torch.nn.functional.pad(pool.mask, (0, 1), value=True)
        positions = [[len(row.tokens) - 1] for row in pool.rows]
        ids = [[row.tokens[-1]] for row in pool.rows]
        logits, pool.cache = self._call(ids, pool.mask, positions, pool.cache, keep=True)
        return logits

    def _cache(self, prefix: DynamicCache | None, rows: int) -> DynamicCache | None:
        """What the model is given to keep its memory in; None to make its own."""
        if not self.roomy:
            return None
        return kv_cache.new_cache(self._model.config) if prefix is None else kv_cache.repeated(prefix, rows)

    def _tensor(self, values: list[list[bool]] | list[list[int]]) -> torch.Tensor:
        return torch.tensor(values, device=self._model.device)

    def _call(
        self,
        ids: list[list[int]],
        mask: torch.Tensor | None,
        positions: list[list[int]],
        cache: Any,
        *,
        keep: bool,
    ) -> tuple[torch.Tensor, Any]:
        """Logits (rows, vocabulary), and the memory with these tokens if it is to be kept.

        Without padding, the mask is left to the model, which then has cheaper ways.
        """
        options: dict[str, Any] = dict(self._last_only)
        if mask is not None:
            options["attention_mask"] = mask.long()
        if self._takes_positions:
            # Some models (Bamba) count them wrongly by themselves.
            options["position_ids"] = self._tensor(positions)
        if keep and cache is not None:
            options[self._cache_name] = cache
        output = self._model(self._tensor(ids), use_cache=keep, **options)
        logits: torch.Tensor = output.logits[:, -1].float()
        kept = getattr(output, self._cache_name, None) if keep else None
        if keep and kept is None:
            raise ModelError(f"a {type(self._model).__name__} does not give its cache away")
        return logits, kept
