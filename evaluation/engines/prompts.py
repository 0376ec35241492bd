"""Prompts as tokens, how many may be generated for each, and which cannot be read at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
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


Run = Callable[[Sequence[Prompt], bool], Iterable[list[Prompt]]]
"""Answers rows, which may share prefixes or not."""


def in_two_parts(
    rows: Sequence[Prompt], switch: int, run: Run, reached: Callable[[Prompt], bool]
) -> Iterator[list[Prompt]]:
    """Answer rows on a model that computes positions otherwise in sequences of more than `switch` tokens.

    What was kept of a shorter sequence is of no use then, nor a prefix that is shorter itself, nor may short
    rows go with long ones. So each row is answered up to there, and those whose end is not `reached` are read
    anew.
    """
    rooms = {row.key: row.budget for row in rows}
    short = [row for row in rows if len(row.tokens) <= switch]
    long = [row for row in rows if len(row.tokens) > switch]
    for ended in run([_within(row, switch) for row in short], True):
        whole = [replace(row, budget=rooms[row.key] - row.generated) for row in ended]
        long += [row for row in whole if not reached(row)]
        yield [row for row in whole if reached(row)]
    yield from run(long, False)


def _within(row: Prompt, switch: int) -> Prompt:
    """The row with a budget that ends with the first token that makes it too long."""
    return replace(row, budget=min(row.budget, switch + 1 - len(row.tokens)))
