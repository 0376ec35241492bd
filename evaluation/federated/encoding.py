"""Training rows in the model's vocabulary, which of their tokens are learnt, and the batches of a round."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from evaluation.data.training import TrainingRow
from evaluation.errors import ModelError
from evaluation.federated.config import FederatedConfig
from evaluation.method.row_form import RESPONSE_HEADING, RowForm

T = TypeVar("T")

IGNORED = -100
"""The label of a token that is not learnt, as torch's cross-entropy has it."""


@dataclass(frozen=True)
class Tokens:
    """A row: its tokens, and as many labels, each the token itself or IGNORED."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def learnt(self) -> int:
        """How many tokens there is loss on."""
        return len(self.labels) - self.labels.count(IGNORED)

    @property
    def tail(self) -> int:
        """How many tokens there are from the first that is learnt to the end; 0 where none is."""
        first = next((place for place, label in enumerate(self.labels) if label != IGNORED), len(self))
        return len(self) - first


def encode(row: TrainingRow, form: RowForm, tokenizer: Any, length: int) -> Tokens:
    """Tokenise a row to `length` tokens at most. Raises ModelError as `response_marker` does."""
    prompt = form.prompt(row.instruction, row.input)
    if form.template == "fingpt":
        return _apart(prompt, row.output, form, tokenizer, length)
    return _whole(prompt + row.output, form, tokenizer, length)


def response_marker(tokenizer: Any) -> list[int]:
    """The tokens after which the public apps' collator takes what follows for the response.

    They are those of the heading with the newline before it, without the first two, which are what that
    newline makes of the beginning. Raises ModelError where nothing is left.
    """
    marker = [int(token) for token in tokenizer.encode(RESPONSE_HEADING, add_special_tokens=False)[2:]]
    if not marker:
        raise ModelError(
            "the tokenizer makes no more than two tokens of the heading ### Response:, so that the response "
            "cannot be found in a row; use the template fingpt"
        )
    return marker


def _whole(text: str, form: RowForm, tokenizer: Any, length: int) -> Tokens:
    """One text, cut at the length where the tokenizer cuts; learnt is what follows the last marker.

    As in trl's DataCollatorForCompletionOnlyLM: in a row without the marker nothing is learnt, and no end
    token, which pads, wherever it stands.
    """
    ids = list(tokenizer(text, truncation=True, max_length=length)["input_ids"])
    end, start = tokenizer.eos_token_id, _after_last(ids, response_marker(tokenizer))
    if form.learn_end and len(ids) < length and ids[-1:] != [end]:
        ids.append(end)
    labels = [token if form.learn_end or token != end else IGNORED for token in ids]
    labels[:start] = [IGNORED] * start
    return Tokens(tuple(ids), tuple(labels))


def _after_last(ids: list[int], marker: list[int]) -> int:
    """Where the last occurrence of the marker ends; the end where there is none."""
    for start in range(len(ids) - len(marker), -1, -1):
        if ids[start : start + len(marker)] == marker:
            return start + len(marker)
    return len(ids)


def _apart(prompt: str, output: str, form: RowForm, tokenizer: Any, length: int) -> Tokens:
    """Prompt and answer tokenised apart, so that the prompt's tokens are those of an evaluation prompt.

    Where both do not fit, the answer loses its end but keeps half of the room, the prompt its beginning.
    """
    asked = list(tokenizer(prompt)["input_ids"])
    answer = list(tokenizer(output, add_special_tokens=False)["input_ids"])
    if form.learn_end:
        answer.append(tokenizer.eos_token_id)
    answer = answer[: max(length - len(asked), length // 2)]
    asked = asked[max(0, len(asked) + len(answer) - length) :]
    return Tokens((*asked, *answer), (*[IGNORED] * len(asked), *answer))


def batches(config: FederatedConfig, rows: Sequence[Tokens], steps: int, moment: str) -> list[list[Tokens]]:
    """The batches of `steps` steps: rows in passes over all of them, each pass in another order.

    Drawn anew they depend on `moment`, which tells run, round and client. Else they are those that
    transformers' Trainer takes with the run's seed, the same in each round. Grouped by length, the rows of
    all steps are sorted into batches and these shuffled by `moment`, so that little is padding. Fewer rows
    than a batch has make the same row appear again, never a smaller batch.
    """
    size, order = config.batch_size, random.Random(moment)  # noqa: S311 - reproducible, not secret
    chosen = _drawn(config, rows, steps, order)
    if config.group_by_length:
        chosen.sort(key=len)
    groups = [chosen[start : start + size] for start in range(0, len(chosen), size)]
    if config.group_by_length:
        order.shuffle(groups)
    return groups


def drawn(config: FederatedConfig, rows: Sequence[T], steps: int, moment: str) -> list[T]:
    """The rows of those batches, before they are grouped."""
    return _drawn(config, rows, steps, random.Random(moment))  # noqa: S311 - as `batches`


def _drawn(config: FederatedConfig, rows: Sequence[T], steps: int, order: random.Random) -> list[T]:
    passes = _anew(rows, order) if config.draw_anew else _as_trainer(rows, config.seed)
    return list(itertools.islice(passes, config.batch_size * steps))


def _anew(rows: Sequence[T], order: random.Random) -> Iterator[T]:
    while True:
        yield from order.sample(rows, len(rows))


def _as_trainer(rows: Sequence[T], seed: int) -> Iterator[T]:
    """Pass by pass the permutations of accelerate's SeedableRandomSampler, which Trainer uses."""
    import torch  # seconds that those who only describe a run should not spend

    for epoch in itertools.count():
        generator = torch.Generator().manual_seed(seed + epoch)
        yield from (rows[place] for place in torch.randperm(len(rows), generator=generator).tolist())
