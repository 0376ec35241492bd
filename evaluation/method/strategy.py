"""What is known about a strategy without running it: what it takes, trains, sends and goes with.

It is light to import: the web pages read it too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from evaluation.adapter_kinds import KINDS, AdapterKind

MOST_CLIENTS = 10_000
"""As many as a run may have; more is a slip of the keyboard."""


@dataclass(frozen=True)
class Option:
    """A number that a strategy can be given, within `lowest` and `highest`, both allowed.

    `name` is that of Flower's parameter with dashes, and the run configuration's key is `strategy.<name>`.
    """

    name: str
    default: float
    lowest: float
    highest: float
    meaning: str
    whole: bool = False


@dataclass(frozen=True)
class Fewest:
    """From how many clients a round on a strategy can work, and the reason as a sentence without its end.

    `clients` is given all of the strategy's options by their names.
    """

    clients: Callable[[Mapping[str, float]], int]
    reason: str


@dataclass(frozen=True)
class StrategyInfo:
    """What is known about a strategy without running it.

    `name` is what `--strategy` takes and `card` how method cards hold it, where that is not the name's
    letters. `aliases` are other words for it, letters only. A strategy without a `builder`
    is known by name from people's configurations and is not trained here.

    `trains` says which LoRA matrices a client trains and sends back: in `alternating`, B in odd rounds and A
    in even ones. `sends` says what a client is sent: tensors that it can derive from the seed stay away, and
    `residual` are factors of what the adapter itself cannot express, whose rank grows with the rounds.
    What `stays` is trained and kept by each client. With `control` a second set of as many numbers travels
    beside the adapter, both ways. `ranks` says that clients may have adapters of different ranks.
    `cohort` says who trains in a round: clients `sampled` by seed, always the `largest`, or `one` for all.
    `on_products` says that it works on the product of A and B, which not every kind of adapter's update is;
    of those kinds that `averages` names it takes means of what they have besides the product.
    `fewest` says from how many clients a round on it is what its name says, by its options.
    `as_fedavg` are the values of its options with which it is FedAvg, none where it never is.
    `no_privacy` is the reason why it does not go with differential privacy, "" where it does.
    `builder` is `module:function`, the function makes the Flower strategy from a FederatedConfig.
    """

    name: str
    title: str
    paper: str = ""
    summary: str = ""
    kind: Literal["flower", "lora-aware", "reference"] = "flower"
    builder: str = ""
    aliases: tuple[str, ...] = ()
    card: str = ""
    options: tuple[Option, ...] = ()
    trains: Literal["both", "B", "alternating"] = "both"
    sends: Literal["both", "A", "B", "both and residual", "residual"] = "both"
    stays: Literal["", "B"] = ""
    control: bool = False
    ranks: bool = False
    cohort: Literal["sampled", "largest", "one"] = "sampled"
    on_products: bool = False
    averages: tuple[str, ...] = ()
    no_privacy: str = ""
    fewest: Fewest | None = None
    as_fedavg: tuple[tuple[str, float], ...] = ()

    def is_fedavg(self, options: Mapping[str, float]) -> bool:
        """Whether these options leave nothing of it but FedAvg."""
        return bool(self.as_fedavg) and all(options.get(name) == value for name, value in self.as_fedavg)

    def fewest_clients(self, options: Mapping[str, float]) -> int:
        """How many clients a round it needs at least, with these options: all of them."""
        return self.fewest.clients(options) if self.fewest else 1

    def refusal(self, kind: AdapterKind) -> str:
        """Why it does not go with a kind of adapter; "" where it does."""
        if not self.on_products or kind.key in self.averages or not kind.beyond_product:
            return ""
        return f"it works on the product of A and B, which {kind.beyond_product}"

    @property
    def adapters(self) -> tuple[str, ...]:
        """The keys of the kinds of adapters that it goes with."""
        return tuple(key for key, kind in KINDS.items() if not self.refusal(kind))

    def trained_in(self, server_round: int) -> str:
        """Which matrices a client trains in round 1…: `both`, `A` or `B`."""
        if self.trains == "alternating":
            return "B" if server_round % 2 else "A"
        return self.trains

    def returned_in(self, server_round: int) -> str:
        """Which matrices a client sends back in round 1…: those that it trained but what stays with it."""
        return "A" if self.stays == "B" else self.trained_in(server_round)

    @property
    def sends_adapter_both_ways(self) -> bool:
        """Whether what travels, down and up, is the adapter as it is saved in the end, and nothing else."""
        return self.communicates and self.sends == self.trains == "both" and not self.control

    @property
    def grows(self) -> bool:
        """Whether the saved adapter has a residual merged in, which makes its rank larger than the run's."""
        return "residual" in self.sends

    @property
    def communicates(self) -> bool:
        """Whether adapters travel. A reference trains where its data are, whatever our messages carry."""
        return self.kind != "reference"
