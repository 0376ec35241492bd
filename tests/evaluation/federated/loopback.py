"""A Flower grid whose nodes are function calls: what the simulation does, without its processes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from flwr.app import Context, Error, Message, RecordDict

from evaluation.federated.client_app import app

Distortion = Callable[[Message], None]


@dataclass
class LoopbackGrid:
    """Nodes with random ids, as Flower gives them, each with its own partition.

    `node_configs` replaces the configuration of a partition's node. `distort` changes the training reply of
    a partition, or raises as a client's own code would.
    """

    clients: int
    seed: int = 0
    distort: dict[int, Distortion] = field(default_factory=dict)
    node_configs: dict[int, dict[str, Any]] = field(default_factory=dict)
    sent: list[Message] = field(default_factory=list)
    replies: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        order = random.Random(self.seed)
        self._partitions = {order.getrandbits(63): partition for partition in range(self.clients)}
        self._order = order

    @property
    def nodes(self) -> dict[int, int]:
        """Each partition's node."""
        return {partition: node for node, partition in self._partitions.items()}

    def get_node_ids(self) -> list[int]:
        return list(self._partitions)

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        ids = []
        for message in messages:
            message.metadata.__dict__["_message_id"] = f"message-{len(self.sent)}"
            self.sent.append(message)
            ids.append(message.metadata.message_id)
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        wanted = set(message_ids)
        replies = [self._answer(message) for message in self.sent if message.metadata.message_id in wanted]
        self._order.shuffle(replies)  # as they come from machines of different speed
        self.replies.extend(replies)
        return replies

    def _answer(self, message: Message) -> Message:
        node = message.metadata.dst_node_id
        partition = self._partitions[node]
        own = self.node_configs.get(partition, {"partition-id": partition})
        context = Context(run_id=1, node_id=node, node_config=own, state=RecordDict(), run_config={})
        try:
            reply = app(message, context)
            if message.metadata.message_type == "train" and partition in self.distort:
                self.distort[partition](reply)
        except Exception as error:  # noqa: BLE001 - Flower reports whatever a client raises
            return Message(Error(code=0, reason=str(error)), reply_to=message)
        return reply
