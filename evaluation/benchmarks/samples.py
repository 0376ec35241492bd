"""What passes between data, engine and scoring: samples, decoding limits, completions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]
"""One row of a data file, with the hub's column names."""


@dataclass(frozen=True)
class Sample:
    """One item of a benchmark, ready to be asked.

    `id` is the data set's own id where it has one, else the position in the benchmark's order; `key`
    is its text form, which completions are joined by. `target` is the lower-case label. `group` is the
    MMLU subject, else empty. `leaked` items are known to stand in the training data too. Of a program,
    `setup` runs before prompt and completion and `tests` after them.
    """

    id: int | str
    prompt: str
    target: str
    group: str = ""
    setup: str = ""
    tests: str = ""
    leaked: bool = False

    @property
    def key(self) -> str:
        return str(self.id)


@dataclass(frozen=True)
class Decoding:
    """How an answer is decoded and where it ends: whichever limit comes first, or the model's end token.

    `max_new_tokens` limits what is generated, `max_sequence_tokens` prompt and generation together.
    Generation may end once one of `stop` has appeared in the completion, which then contains it; an
    engine that generates on is as good, since nothing after it changes the answer read.

    Decoding is greedy at `temperature` 0. Above it, tokens are drawn from the smallest set that holds the
    share `top_p` of the probability, by the seed of each request.
    """

    max_new_tokens: int | None = None
    max_sequence_tokens: int | None = None
    stop: tuple[str, ...] = ()
    temperature: float = 0.0
    top_p: float = 1.0


@dataclass(frozen=True)
class Request:
    """One prompt for an engine. `benchmark` and `key` together identify it.

    What is sampled depends on `seed` and the prompt alone; greedy decoding ignores it.
    """

    benchmark: str
    key: str
    prompt: str
    seed: int = 0


@dataclass(frozen=True)
class Completion:
    """What an engine answered. `text` is None when there is no answer, and `failure` says why then.

    `text` holds the generated part alone, without the tokenizer's special tokens.
    """

    key: str
    text: str | None
    failure: str = ""
    prompt_tokens: int = 0
    generated_tokens: int = 0
