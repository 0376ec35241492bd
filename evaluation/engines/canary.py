"""The canary: before a model answers with an adapter, a few prompts show that batches change nothing.

Prompts of different lengths go through the decoder as any others do: padded, behind a shared prefix, in
pools that are put together and that rows leave at different times. The logits that each token was chosen from
are then held against those of a plain forward pass over prompt and answer alone, without cache, padding or
prefix.
"""

from __future__ import annotations

import inspect
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from evaluation.engines.batches import Batch, Prompt
from evaluation.engines.forward import Forward
from evaluation.engines.memory import is_out_of_memory, memory_for
from evaluation.engines.pools import Pool
from evaluation.errors import ModelError

Answer = Callable[[Forward, Sequence[Prompt]], Iterable[Sequence[Prompt]]]
"""Runs the engine's decoder on rows; they come back with their answers."""

TOGETHER = "prompts in batches, shared prefixes once"
ALONE = "one prompt at a time, no shared prefixes"

# Tokens that all rows of a group begin with, and for each row how many follow, and how many are answered.
_GROUPS = ((24, ((2, 4), (7, 2), (13, 3), (21, 4))), (0, ((3, 4), (12, 1), (31, 3))))
_TEXT = """The committee met on Tuesday to hear how the harvest had gone. Prices of grain rose by a third,
said the miller, while those of cattle fell; nobody could tell what the winter would bring. Two of the nine
bridges were under repair, and the post came late. Asked whether the council would lower the toll, its chair
replied that she had read every letter, that 14 of them were polite, and that it was: not this year."""
_TRAILING = 8
# How far logits may lie apart, as the root mean square over the vocabulary in units of their own spread. In
# single precision rounding stays far under a thousandth (SmolLM2: 5e-6) and errors do not. In half precision
# it is larger, and how much larger depends on the model: a tenth, or twice what the last digit of its
# embeddings makes of the logits, but never as much as answers that have little to do with each other. SmolLM2
# in bf16 rounds by up to 0.08, its embeddings' last digit makes 0.03 to 0.13, wrong positions make 0.37 to 4.
_SINGLE = 1e-3
_HALF = 0.1
_TIMES = 2
_MOST = 0.5
# What models raise that the decoder cannot serve: caches of another kind, masks that they do not take.
_UNFIT = (AttributeError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError)


def check(model: Any, tokenizer: Any, most: int | None, answer: Answer) -> bool:
    """Whether prompts may go through the model together; if not, each goes alone.

    `most` is how many tokens, answers included, a row may have. Raises ModelError when the model is not a
    causal one or the answers differ even then, and OutOfMemoryError.
    """
    groups = _prompts(tokenizer, most)
    name = type(model).__name__
    if not groups:
        raise ModelError(f"a {name} with room for {most} tokens cannot be evaluated")
    longest = max((row for rows in groups for row in rows), key=lambda row: len(row.tokens))
    with memory_for("a plain forward pass"):
        try:
            moved, allowed = _moved_by_followers(model, longest.tokens), _allowed(model, longest.tokens)
        except _UNFIT as error:
            raise ModelError(f"a {name} cannot be evaluated: {_failure(error)}") from error
        if math.isinf(moved):
            raise ModelError(
                f"a {name} gives logits that are no finite numbers, or all equal: its weights, or those of "
                "the adapter, have diverged or were lost"
            )
        if moved > allowed:
            raise ModelError(
                f"a {name} is not a causal language model: its logits depend on the tokens that follow, "
                f"by {moved:.1%} of their spread"
            )
        if not _difference(model, groups, answer, together=True):
            return True
        if alone := _difference(model, groups, answer, together=False):
            raise ModelError(f"a {name} cannot be evaluated, one prompt at a time neither: {alone}")
    return False


def _prompts(tokenizer: Any, most: int | None) -> list[list[Prompt]]:
    """The groups of prompts, without those that are too long."""
    text = list(tokenizer(_TEXT).input_ids)
    groups = []
    for number, (shared, rows) in enumerate(_GROUPS):
        group, start = [], shared
        for length, budget in rows:
            tokens = (*text[:shared], *(text[(start + i) % len(text)] for i in range(length)))
            start += length
            if most is None or len(tokens) + budget + _TRAILING <= most:
                group.append(Prompt(f"{number}.{length}", tokens, budget))
        groups.append(group)
    return [group for group in groups if group]


def _moved_by_followers(model: Any, tokens: Sequence[int]) -> float:
    """How far the logits of a plain pass move when other tokens follow: no more than by rounding."""
    followed = _plain(model, (*tokens, *tokens[:_TRAILING]))[: len(tokens)]
    return _apart(followed, _plain(model, tokens))


def _difference(model: Any, groups: Sequence[Sequence[Prompt]], answer: Answer, *, together: bool) -> str:
    """Where the answers are not those of the plain pass, in words; empty if they all are."""
    try:
        watched = _Watched(model, together=together)
        ended = [row for group in groups for rows in answer(watched, group) for row in rows]
    except _UNFIT as error:
        return _failure(error)
    worst, said = 1.0, ""
    for row in ended:
        tokens, asked = row.tokens[:-1], len(row.tokens) - row.generated
        apart = _apart(torch.stack(watched.logits[row.key]), _plain(model, tokens)[-row.generated :])
        allowed = _allowed(model, tokens)
        if apart / allowed > worst:
            worst = apart / allowed
            said = (
                f"the logits behind a prompt of {asked} tokens differ by {apart:.1%} of their spread from "
                f"those of a plain forward pass, where {allowed:.1%} may be rounding"
            )
    return said


def _failure(error: Exception) -> str:
    """What the model failed with, in words; raises again what is the machine's fault."""
    if is_out_of_memory(error) or isinstance(error, torch.AcceleratorError):
        raise error
    return f"it fails with {type(error).__name__}: {error}"


def _allowed(model: Any, tokens: Sequence[int]) -> float:
    """How far the logits of two right computations may lie apart."""
    if model.dtype == torch.float32:
        return _SINGLE
    chance = torch.Generator().manual_seed(0)

    def off_by_the_last_digit(_module: Any, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
        noise = torch.randn(output.shape, generator=chance) * torch.finfo(output.dtype).eps
        return (output.float() * (1 + noise.to(output.device))).to(output.dtype)

    exact = _plain(model, tokens)
    hook = model.get_input_embeddings().register_forward_hook(off_by_the_last_digit)
    try:
        return min(_MOST, max(_HALF, _TIMES * _apart(_plain(model, tokens), exact)))
    finally:
        hook.remove()


@torch.inference_mode()
def _plain(model: Any, tokens: Sequence[int]) -> torch.Tensor:
    """Logits (tokens, vocabulary) behind each token."""
    options = {"use_cache": False} if "use_cache" in inspect.signature(model.forward).parameters else {}
    logits: torch.Tensor = model(torch.tensor([tokens], device=model.device), **options).logits[0].float()
    return logits


def _apart(found: torch.Tensor, plain: torch.Tensor) -> float:
    """The largest deviation of a step, root mean square in units of the spread of its plain logits."""
    deviations = (found - plain).square().mean(-1).sqrt() / plain.std(-1)
    return float(deviations.nan_to_num(torch.inf).max())


class _Watched(Forward):
    """A forward pass that keeps the logits of each row's steps, by the row's key."""

    def __init__(self, model: Any, *, together: bool) -> None:
        super().__init__(model, pad=0, together=together)
        self.logits: dict[str, list[torch.Tensor]] = defaultdict(list)

    def read(self, batch: Batch, prefix: Any) -> tuple[torch.Tensor, Pool]:
        logits, pool = super().read(batch, prefix)
        self._keep(pool.rows, logits)
        return logits, pool

    def advance(self, pool: Pool) -> torch.Tensor:
        logits = super().advance(pool)
        self._keep(pool.rows, logits)
        return logits

    def _keep(self, rows: Sequence[Prompt], logits: torch.Tensor) -> None:
        for row, own in zip(rows, logits, strict=True):
            self.logits[row.key].append(own)
