"""What `python -m evaluation.federated --events` says while it trains."""

from __future__ import annotations

from dataclasses import dataclass

from evaluation.wire.messages import Ending, Failed, Message, Vocabulary


@dataclass(frozen=True)
class Shares:
    """The picture of a split: `counts[client][i]` rows of a client have the value `values[i]` of `column`.

    Without a column there is one value, the empty text, and the counts are the clients' numbers of rows.
    """

    column: str | None
    values: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    held_out: int

    @property
    def rows(self) -> tuple[int, ...]:
        """Each client's number of rows."""
        return tuple(map(sum, self.counts))


@dataclass(frozen=True)
class Ready(Message):
    """The clients are there, the model is loaded, the rows are shared; `resumed` rounds are behind.

    `data` names the rows, with the commit where they come from the hub; `data_digest` tells them from others.

    `planned_bytes` is what all rounds will send, both directions, or at least that where a strategy's
    messages grow; None where it cannot be told.
    """

    event = "ready"

    strategy: str
    startup_seconds: float
    clients: int
    rows: int
    data: str
    data_digest: str
    trainable_parameters: int
    hardware: str
    planned_bytes: int | None
    shares: Shares
    resumed: int


@dataclass(frozen=True)
class ClientFailure:
    """A chosen client whose reply was left out of a round, and why."""

    client: int
    reason: str


@dataclass(frozen=True)
class ClientLoss:
    """The loss on a client's own held-out rows, by the adapter as that client has it."""

    client: int
    loss: float


@dataclass(frozen=True)
class Round:
    """One round as it was measured.

    `clients` are the partitions whose adapters were aggregated, `examples` the sum of their rows (the weights
    of the mean). `train_loss` is weighted alike, and None where none was aggregated. Bytes are
    `payload_bytes` of all messages that train, those of failing clients included, and 0 for references, which
    have no one to communicate with.

    `train_seconds` is the sum over clients, `seconds` the whole round by the clock, of which
    `aggregate_seconds` are the strategy's and `communicate_seconds` what the busiest client process was
    waited for beyond its training: serialising, transport and loading what was sent. Taking `held_out_loss`
    and `client_losses` is outside of them all. `simulated_time` is how long the round takes where clients
    have a speed or the round a deadline, in steps of a client of speed 1. The joules are what the clients'
    devices used while they trained, `energy_net_joules` above idle, `energy_method` names the counters.
    `epsilon` is what the rounds so far have spent.
    """

    round: int
    clients: tuple[int, ...]
    failures: tuple[ClientFailure, ...]
    examples: int
    learning_rate: float
    train_loss: float | None
    held_out_loss: float | None
    client_losses: tuple[ClientLoss, ...]
    bytes_down: int
    bytes_up: int
    messages_down: int
    messages_up: int
    train_seconds: float
    aggregate_seconds: float
    communicate_seconds: float
    seconds: float
    simulated_time: float | None
    client_peak_rss_bytes: int
    client_peak_vram_bytes: int | None
    server_peak_rss_bytes: int
    gpu_seconds: float | None
    energy_joules: float | None
    energy_net_joules: float | None
    energy_method: str
    epsilon: float | None


@dataclass(frozen=True)
class RoundEnded(Round, Message):
    """A round of `rounds` is over; after resuming, also each that an earlier process had finished."""

    event = "round"

    rounds: int

    @classmethod
    def of(cls, measured: Round, rounds: int) -> RoundEnded:
        return cls(**vars(measured), rounds=rounds)


@dataclass(frozen=True)
class Done(Ending):
    """The result lies in `output`."""

    event = "done"

    output: str
    wall_seconds: float


Event = Ready | RoundEnded | Done | Failed

EVENTS: Vocabulary[Event] = Vocabulary(Ready, RoundEnded, Done, Failed)
