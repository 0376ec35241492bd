"""The messages between server and clients: the names in them, sending, waiting, and their size."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from threading import Event

import numpy
from flwr.app import Error, Message
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid

from evaluation.errors import DiskError, EvaluationError, MemoryTakenError, OutOfMemoryError

# Records of a message. The first two are Flower's own names, which its strategies use.
ADAPTER = "arrays"
CONFIG = "config"
METRICS = "metrics"
CONTROL = "control"  # SCAFFOLD's control variates
HOME = "home"  # what a client would keep, see `evaluation.federated.at_home`
# Entries of the configuration that a round adds.
ROUND = "server-round"
LEARNING_RATE = "learning-rate"
TRAINS = "trains"  # which matrices: both, A or B
PROXIMAL = "proximal-mu"  # Flower's FedProx sends it
RANK = "rank"  # of the client's adapter
PRUNE_DECAY = "prune-decay"  # HetLoRA
PRUNE_WEIGHT = "prune-weight"
OWN_ROWS = "own-rows"  # whether a loss is taken on the client's own rows
# Entries of a reply.
PARTITION = "partition-id"
EXAMPLES = "num-examples"
TRAIN_LOSS = "train-loss"
TRAIN_SECONDS = "train-seconds"
STEPS = "local-steps"
WORKER = "worker"
HELD_OUT_LOSS = "held-out-loss"
PEAK_RSS = "peak-rss-bytes"
PEAK_VRAM = "peak-vram-bytes"
ENERGY = "energy"  # evaluation.energy.Energy as JSON, in the configuration's record
HARDWARE = "hardware"
ROWS = "rows-identity"

_POLL_SECONDS = 0.05
# Beside Flower's own codes: what lay in the client's machine, so that the run may come to its end later.
_OF_THE_MACHINE: dict[int, type[EvaluationError]] = {
    1001: DiskError,
    1002: MemoryTakenError,
    1003: OutOfMemoryError,
}


@dataclass(frozen=True)
class Exchange:
    """Sends messages to nodes and waits for their replies, until `stop` is set from outside.

    `timeout` is the longest wait for the replies to one `receive`, in seconds.
    """

    grid: Grid
    stop: Event
    timeout: float

    def nodes(self, count: int) -> list[int]:
        """The ids of the connected nodes, once there are `count`. Raises EvaluationError if not in time."""
        deadline = time.monotonic() + self.timeout
        while True:
            nodes = sorted(self.grid.get_node_ids())
            if len(nodes) >= count:
                return nodes
            if time.monotonic() > deadline:
                raise EvaluationError(f"{len(nodes)} of {count} clients connected in {self.timeout:.0f} s")
            self._pause()

    def send(self, messages: Iterable[Message]) -> list[str]:
        """Send messages; returns their ids, to be given to `receive`."""
        return [str(message_id) for message_id in self.grid.push_messages(messages)]

    def receive(self, message_ids: Sequence[str]) -> list[Message]:
        """The replies to these messages, in any order; those that came, when not all come in time."""
        waiting, replies = set(message_ids), []
        deadline = time.monotonic() + self.timeout
        while True:
            for reply in self.grid.pull_messages(waiting):
                waiting.discard(reply.metadata.reply_to_message_id)
                replies.append(reply)
            if not waiting or time.monotonic() > deadline:
                return replies
            self._pause()

    def _pause(self) -> None:
        if self.stop.wait(_POLL_SECONDS):
            raise EvaluationError("the run was stopped before it ended")


def refusal(message: Message, error: EvaluationError) -> Message:
    """A client's reply that says why it cannot do what it was asked."""
    codes = (code for code, kind in _OF_THE_MACHINE.items() if type(error) is kind)
    code = next(codes, ErrorCode.CLIENT_APP_RAISED_EXCEPTION)
    return Message(Error(code, str(error)), reply_to=message)


def failed_by(replies: Iterable[Message]) -> type[EvaluationError]:
    """What a run fails by that these replies end: what was lacking on a client's machine, if anything was."""
    codes = [reply.error.code for reply in replies if reply.has_error()]
    return next((kind for code, kind in _OF_THE_MACHINE.items() if code in codes), EvaluationError)


def payload_bytes(messages: Iterable[Message]) -> int:
    """Bytes of all tensors in these messages.

    Counted is what the arrays hold, elements times element size, in each message's array records as they
    are, compressed or not: what the FlowerTune rules call communication. Not counted are serialisation
    headers, configuration and metrics (a few hundred bytes a message), transport, and what a client would
    have kept at home. An error reply holds no tensors.
    """
    return sum(
        int(numpy.prod(array.shape, dtype=numpy.int64)) * numpy.dtype(array.dtype).itemsize
        for message in messages
        if message.has_content()
        for name, record in message.content.array_records.items()
        if name != HOME
        for array in record.values()
    )
