"""Prompts as tokens, and how many may be generated for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evaluation.benchmarks.samples import Completion, Decoding, Request
from evaluation.engines.batches import Prompt


def tokenised(
    requests: Sequence[Request], decoding: Decoding, tokenizer: Any, context: int | None
) -> tuple[list[Prompt], list[Completion]]:
    """The prompts with the tokenizer's own special tokens, and the failures of those without room to answer.

    `context` is how many tokens the model can attend to, None where that is not known.
    """
    ends = [end for end in (decoding.max_sequence_tokens, context) if end is not None]
    rows: list[Prompt] = []
    failed: list[Completion] = []
    # All at once: the fast tokenizers go through a list in several threads.
    prompts = tokenizer([request.prompt for request in requests]).input_ids if requests else []
    for request, tokens in zip(requests, prompts, strict=True):
        room = min(ends) - len(tokens) if ends else decoding.max_new_tokens
        assert room is not None, "a decoding without any limit would not end"
        if decoding.max_new_tokens is not None:
            room = min(room, decoding.max_new_tokens)
        if room < 1 or not tokens:
            reason = f"the prompt has {len(tokens) or 'no'} tokens"
            if tokens:
                reason += f" and the limit is {min(ends)}"
            failed.append(Completion(request.key, None, reason, prompt_tokens=len(tokens)))
        else:
            rows.append(Prompt(request.key, tuple(tokens), room, seed=request.seed))
    return rows, failed
