"""Answering tokenised prompts with one model: reading them in batches, then decoding many rows in lockstep.

Prompts are read in batches of similar length behind the prefix that they share. Rows whose answer goes on
join a pool of rows that are decoded together; one that ends leaves it at once. Pools wait on shelves by their
width until there are enough rows of about the same, so that neither a few long answers nor their padding
hold up the rest.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from transformers import DynamicCache

from evaluation.benchmarks.samples import Decoding
from evaluation.device_memory import lacking
from evaluation.engines.batches import Batch, Prompt, compose, families
from evaluation.engines.forward import Forward
from evaluation.engines.limits import Limits, Pace
from evaluation.engines.memory import DeviceMemory, is_out_of_memory
from evaluation.engines.pools import Pool, Shelves, chosen, merged
from evaluation.engines.sampling import next_tokens

_LOG = logging.getLogger(__name__)

# A stop string is looked for in the text of the last tokens only. Each token adds a byte or more, and
# missing one costs time, not correctness: what follows a stop never changes the answer.
_STOP_WINDOW = 24
# A pool of which only this share is left waits for others to join, if there are prompts still to be read.
_SPARSE = 0.25


@dataclass(frozen=True)
class Ending:
    """When a row is through: at an end token, at its budget, or once a stop string stands in its text."""

    end_tokens: frozenset[int]
    stop: tuple[str, ...]
    text: Callable[[Sequence[int]], str]
    _completing: dict[int, bool] = field(default_factory=dict, compare=False, repr=False)

    def reached(self, row: Prompt) -> bool:
        if row.budget <= 0 or row.tokens[-1] in self.end_tokens:
            return True
        if not self.stop or not self._may_complete(row.tokens[-1]):
            return False
        tail = self.text(row.answer[-_STOP_WINDOW:])
        return any(stop in tail for stop in self.stop)

    def _may_complete(self, token: int) -> bool:
        """Whether a stop string can end with this token, which most tokens rule out without any decoding.

        Its text then holds the last character of one. Spaces may be lost where a token is decoded alone, and
        other characters be parts of several tokens: stop strings that end with these are always looked for.
        """
        known = self._completing.get(token)
        if known is None:
            last = {stop[-1] for stop in self.stop}
            text = self.text([token])
            known = any(char.isspace() or not char.isascii() or char in text for char in last)
            self._completing[token] = known
        return known


class Decoder:
    """Answers rows by a model, in one call of `run`.

    `needed` says in words what a row needs, for the error that ends a run for want of memory.
    """

    def __init__(
        self,
        forward: Forward,
        decoding: Decoding,
        ending: Ending,
        limits: Limits,
        *,
        memory: DeviceMemory,
        needed: Callable[[Prompt], str],
    ) -> None:
        self._forward = forward
        self._decoding = decoding
        self._ending = ending
        self._memory = memory
        self._needed = needed
        # A memory that is not keys and values alone can neither be padded nor cut: one row at a time.
        self._pace = Pace(limits if forward.roomy else replace(limits, rows=1, pool_rows=1))
        self._shares = forward.shares
        self._waiting: deque[Batch] = deque()
        self._shelves = Shelves()
        self._running: list[Pool] = []
        self._prefixes: dict[tuple[int, ...], DynamicCache] = {}

    def run(self, rows: Sequence[Prompt]) -> Iterator[list[Prompt]]:
        """The rows with their answers, as they end: a list, often empty, for each call of the model.

        Out of memory, all limits are halved, and later tried again. Raises OutOfMemoryError when a single row
        is too much that has all the memory to itself.
        """
        self._wait(rows)
        while self._waiting or self._shelves:
            try:
                for ended in self._step():
                    yield ended
                    if self._pace.went_well():
                        self._wait_anew()
                continue
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                self._make_smaller(error)
            # Not before here does the error let go of what it held.
            self._memory.release()

    def _wait(self, rows: Sequence[Prompt]) -> None:
        limits = self._pace.limits
        for family in families(rows, sharing=self._shares):
            self._waiting.extend(compose(family, limits.tokens, limits.rows))

    def _wait_anew(self) -> None:
        """Put what waits together by the limits that are in force now."""
        rows = [row for batch in self._waiting for row in batch.rows]
        self._waiting.clear()
        self._wait(rows)

    def _step(self) -> Iterator[list[Prompt]]:
        """Decode a pool if there is a full one, or nothing to be read, else read the next batch."""
        limits = self._pace.limits
        self._running = self._shelves.take(
            limits.pool_rows, limits.pool_tokens, only_full=bool(self._waiting)
        )
        if self._running:
            yield from self._decode()
        else:
            ended = self._read(self._waiting[0])
            self._waiting.popleft()
            yield ended
        self._running = []

    def _read(self, batch: Batch) -> list[Prompt]:
        """Read prompts. Returns the rows that end with their first token; the others go to the shelves."""
        logits, pool = self._forward.read(batch, self._prefix(batch))
        ended = self._extend(pool, logits)
        gone = frozenset(ended)
        if going_on := [position for position in range(len(pool.rows)) if position not in gone]:
            self._shelves.add(chosen(pool, going_on))
        return [pool.rows[position] for position in ended]

    def _decode(self) -> Iterator[list[Prompt]]:
        """Decode the running pools together until they outgrow their width class or are few."""
        pool = merged(self._running)
        self._running = [pool]
        ceiling = pool.ceiling
        few = _SPARSE * len(pool.rows) if self._waiting else 0
        while pool.width < ceiling and len(pool.rows) > few:
            ended = self._extend(pool, self._forward.advance(pool))
            # From the last to the first, so that no removal moves a row that is still to be removed.
            yield [pool.remove(position) for position in reversed(ended)]
        self._shelves.add(pool)

    def _extend(self, pool: Pool, logits: torch.Tensor) -> list[int]:
        """Add to each row its next token. Returns the positions of those that end with it."""
        tokens = next_tokens(logits, self._decoding, [(row.seed, row.generated) for row in pool.rows])
        pool.rows = [row.extended([token]) for row, token in zip(pool.rows, tokens, strict=True)]
        return [position for position, row in enumerate(pool.rows) if self._ending.reached(row)]

    def _prefix(self, batch: Batch) -> DynamicCache | None:
        """The cache of the tokens that the batch shares, computed behind what all prompts share.

        Batches come family by family, so that besides the shortest prefix only the last one is kept.
        """
        tokens = batch.rows[0].tokens[: batch.shared]
        if not tokens:
            return None
        if tokens not in self._prefixes:
            root = min(self._prefixes, key=len, default=())
            if root != tokens[: len(root)]:
                root = ()
            before = self._prefixes.get(root)
            self._prefixes = {root: before} if before is not None else {}
            self._prefixes[tokens] = self._forward.prefix(tokens[len(root) :], before)
        return self._prefixes[tokens]

    def _make_smaller(self, error: RuntimeError) -> None:
        """Go on with half the batch, all that is unfinished being read anew."""
        running = [row for pool in self._running for row in pool.rows]
        shelved = self._shelves.clear()
        failed = running or list(self._waiting[0].rows)
        is_alone = len(failed) == 1 and not shelved
        if is_alone and not self._prefixes:
            needed = self._needed(failed[0])
            raise lacking(f"out of memory on a single prompt: {needed}: {error}") from error
        if is_alone:
            self._shares = False  # what rows share was kept beside the single one
        rows = [*running, *shelved, *(row for batch in self._waiting for row in batch.rows)]
        self._pace.ran_out()
        _LOG.info("memory ran out: batches are halved, to %d rows for now", self._pace.limits.rows)
        self._running = []
        self._prefixes.clear()
        self._waiting.clear()
        self._wait(rows)
