"""A client's local training, and the loss on rows that nobody trains on."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from evaluation.device_memory import lacking
from evaluation.errors import DataError
from evaluation.federated import data, partitioning, peak_memory
from evaluation.federated.accumulation import accumulate
from evaluation.federated.config import FederatedConfig
from evaluation.federated.encoding import IGNORED, Tokens, batches, encode
from evaluation.federated.factors import Arrays, cut
from evaluation.federated.local_model import LocalModel, local_model, tokenizer
from evaluation.federated.local_terms import Correction, Proximal, Pruning, TailDecay, Term
from evaluation.leakage.canaries import COPIES, Canary, canaries_of
from evaluation.method.row_form import RowForm
from evaluation.method.strategies import get

# transformers' default in its Trainer, which the public FlowerTune apps use.
MAX_GRADIENT_NORM = 1.0


@dataclass(frozen=True)
class Work:
    """What the server asks of a client in one round.

    `trains` says which matrices: `both` (with DoRA's magnitudes), `A` or `B`. `rank` is that of the client's
    adapter where it is not the run's, `steps` its local steps. `proximal_mu` is FedProx's μ, `pruning` is
    HetLoRA's, `correction` SCAFFOLD's c - c_k.
    """

    server_round: int
    learning_rate: float
    trains: str = "both"
    rank: int | None = None
    proximal_mu: float = 0.0
    pruning: Pruning | None = None
    correction: Arrays | None = None


@dataclass(frozen=True)
class LocalResult:
    """What a client's round gave.

    `arrays` are those that were trained, of the rank that the client has now. `loss` is the mean over the
    local steps. `peak_rss_bytes` is the process's highest resident set so far:
    it includes Python, torch and the base model. `peak_vram_bytes` is torch's allocation peak during the
    round, base model included, and None without CUDA.
    """

    arrays: Arrays
    steps: int
    loss: float
    seconds: float
    peak_rss_bytes: int
    peak_vram_bytes: int | None


@dataclass(frozen=True)
class Held:
    """Positions of a client's rows in the training data, and behind them its canaries, each COPIES times."""

    positions: tuple[int, ...]
    canaries: tuple[Canary, ...]


def tokenised(config: FederatedConfig, client: int) -> tuple[Tokens, ...]:
    """One client's rows in the model's vocabulary, kept for its next round.

    The one client of a run whose cohort is `one` has the rows of all. Raises DataError when in none of the
    rows anything is learnt.
    """
    held = held_by(config, client)
    rows = _tokens(config.train_data, held.positions, config.model, config.form, config.sequence_length)
    rows += _canaries(config, held.canaries)
    if not any(row.learnt for row in rows):
        raise DataError(
            f"none of the client's {len(rows)} rows has a response within {config.sequence_length} tokens, "
            f"or the tokenizer writes the headings of the template {config.template} otherwise within a row"
        )
    return rows


def held_by(config: FederatedConfig, client: int) -> Held:
    """What a client trains on, in the order in which `tokenised` has it."""
    clients = partitioning.split(config, data.read(config.train_data)).clients
    alone = get(config.strategy).cohort == "one"
    positions = tuple(position for part in clients for position in part) if alone else clients[client]
    canaries = canaries_of(config.seed, config.clients, config.canaries)
    return Held(positions, tuple(canary for canary in canaries if alone or canary.client == client) * COPIES)


def _canaries(config: FederatedConfig, held: Sequence[Canary]) -> tuple[Tokens, ...]:
    vocabulary = tokenizer(config.model) if held else None
    return tuple(encode(canary.row, config.form, vocabulary, config.sequence_length) for canary in held)


@lru_cache(maxsize=4096)
def _tokens(
    rows: Path, positions: tuple[int, ...], model: Path, form: RowForm, sequence_length: int
) -> tuple[Tokens, ...]:
    every, vocabulary = data.read(rows).rows, tokenizer(model)
    return tuple(encode(every[position], form, vocabulary, sequence_length) for position in positions)


def train(config: FederatedConfig, client: int, work: Work, arrays: Arrays) -> LocalResult:
    """Train a client from the adapter and residual `arrays`, and return the tensors that it trained.

    Tensors that `arrays` lacks are made from the seed: the run's, and where a strategy has its clients start
    anew, that of the round and client. AdamW without weight decay starts afresh each round: no optimiser
    state outlives it, as a client may not be sampled again for long. The rows drawn and what dropout drops
    depend on seed, client and round alone. Raises OutOfMemoryError when the device has no room.
    """
    local, rows = local_model(config), tokenised(config, client)
    moment = moment_of(config, client, work.server_round)
    rank, steps = work.rank or config.rank, local_steps(config, client)
    local.put(arrays, moment if get(config.strategy).sends == "residual" else str(config.seed), rank)
    torch.manual_seed(int.from_bytes(hashlib.sha256(moment.encode()).digest()[:8], signed=True))
    drawn = batches(config, rows, steps, moment)
    tail = TailDecay(local.pairs(), work.pruning, rank) if work.pruning else None
    before = tail.size() if tail else 0.0
    on_cuda = local.device.type == "cuda"
    if on_cuda:
        torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    try:
        losses = list(_descent(local, work, drawn, [tail] if tail else []))
        mean = float(torch.stack(losses).mean())
    except torch.OutOfMemoryError as error:
        raise lacking(
            f"out of memory training a single row of up to {config.sequence_length} tokens"
        ) from error
    if work.pruning and tail and tail.size() < before:
        rank = work.pruning.kept(rank)
    return LocalResult(
        arrays=cut(local.arrays(work.trains), rank),
        steps=steps,
        loss=mean,
        seconds=time.perf_counter() - start,
        peak_rss_bytes=peak_memory.bytes_so_far(),
        peak_vram_bytes=torch.cuda.max_memory_allocated() if on_cuda else None,
    )


def moment_of(config: FederatedConfig, client: int, server_round: int) -> str:
    """What is drawn in a client's round is drawn by."""
    return f"{config.seed}/{client}/{server_round}"


def local_steps(config: FederatedConfig, client: int) -> int:
    """A client's local steps a round; one client that stands for all takes the steps of all."""
    alone = get(config.strategy).cohort == "one"
    return config.local_steps * config.clients_per_round if alone else config.steps_of(client)


def _descent(
    local: LocalModel, work: Work, batches: Sequence[Sequence[Tokens]], further: Sequence[Term]
) -> Iterator[torch.Tensor]:
    """Take one AdamW step a batch; yields the loss before each step, on the answers alone.

    The terms of the run's strategy are in the loss that is followed: their gradients are added before
    clipping, as that of any other part of the loss.
    """
    parameters = local.parameters(work.trains)
    for parameter in local.parameters():
        parameter.requires_grad_(False)
    for parameter in parameters:
        parameter.requires_grad_(True)
    terms = list(further)
    if work.proximal_mu:
        terms.append(Proximal(parameters, work.proximal_mu))
    if work.correction:
        terms.append(Correction(local.tensors, work.correction))
    optimiser = torch.optim.AdamW(parameters, lr=work.learning_rate, weight_decay=0.0)
    for batch in batches:
        loss = accumulate(lambda rows: summed_loss(local, rows), batch, parameters, local.room)
        for term in terms:
            term.to_gradient()
        torch.nn.utils.clip_grad_norm_(parameters, MAX_GRADIENT_NORM)
        optimiser.step()
        for term in terms:
            term.after_step(work.learning_rate)
        optimiser.zero_grad(set_to_none=True)
        yield loss


def held_out_loss(
    config: FederatedConfig, arrays: Arrays, client: int | None = None, rank: int | None = None
) -> float:
    """Mean cross-entropy over the learnt tokens of the rows that nobody trains on, without dropout.

    With a `client` they are the rows kept of its own. Raises DataError where there is no such token.
    """
    local = local_model(config)
    local.put(arrays, str(config.seed), rank)
    division = partitioning.split(config, data.read(config.train_data))
    held_out = division.held_out if client is None else division.own_held_out[client]
    rows = sorted(
        _tokens(config.train_data, held_out, config.model, config.form, config.sequence_length), key=len
    )
    count = sum(row.learnt for row in rows)
    if not count:
        raise DataError(f"no held-out row has a response within {config.sequence_length} tokens")
    total = 0.0
    local.model.eval()
    try:
        with torch.no_grad():
            for start in range(0, len(rows), config.batch_size):
                total += float(summed_loss(local, rows[start : start + config.batch_size]))
    finally:
        local.model.train()
    return total / count


def summed_loss(local: LocalModel, batch: Sequence[Tokens]) -> torch.Tensor:
    """The cross-entropy of a batch, summed over the tokens that are learnt; 0 where none is.

    Rows are padded on the left to the longest, so that they end together and the vocabulary is projected for
    the last positions only: for short answers most of the memory and a good part of the time.
    """
    width, tail = max(map(len, batch)), max(row.tail for row in batch)
    ids = torch.zeros(len(batch), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    labels = torch.full_like(ids, IGNORED)
    for position, row in enumerate(batch):
        ids[position, width - len(row) :] = torch.tensor(row.ids)
        mask[position, width - len(row) :] = 1
        labels[position, width - len(row) :] = torch.tensor(row.labels)
    logits = local.model(
        input_ids=ids.to(local.device),
        attention_mask=mask.to(local.device),
        position_ids=(mask.cumsum(1) - 1).clamp(min=0).to(local.device),
        logits_to_keep=tail + 1,
        use_cache=False,
    ).logits
    return torch.nn.functional.cross_entropy(
        logits[:, :-1].float().flatten(0, 1),
        labels[:, width - tail :].flatten().to(local.device),
        ignore_index=IGNORED,
        reduction="sum",
    )
