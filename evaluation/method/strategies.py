"""The strategies by the names that `--strategy` takes: what each is, takes, and goes with.

This table is light to import: the web pages read it too. What computes is in one module a strategy, imported
by `evaluation.federated.strategies.building`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from evaluation.names import lookup

# Flower's own (flwr.server.strategy, flwr.serverapp.strategy) and those of federated LoRA, in one spelling.
# Training without a federation, which the reference entries compare with.
NOT_FEDERATED = {"centralised", "localonly"}
KNOWN = NOT_FEDERATED | {
    "bulyan", "fedadagrad", "fedadam", "fedavg", "fedavgm", "fedcda", "fedex", "fedit", "fedmedian",
    "fednova", "fedopt", "fedprox", "fedsalora", "fedtrimmedavg", "fedyogi", "ffalora", "flexlora", "flora",
    "hetlora", "krum", "lorafair", "moon", "multikrum", "qfedavg", "rolora", "scaffold", "slora",
}  # fmt: skip
_ALIASES = {
    "averaging": "fedavg", "avg": "fedavg", "centralized": "centralised", "fedavgmomentum": "fedavgm",
    "fedaverage": "fedavg", "fedexlora": "fedex",
    "federatedaveraging": "fedavg", "fedtrimmedaverage": "fedtrimmedavg", "fedsa": "fedsalora",
    "ffa": "ffalora", "prox": "fedprox", "qffl": "qfedavg", "trimmedmean": "fedtrimmedavg",
}  # fmt: skip
_AFFIXES = re.compile(r"^(?:custom|my|flower|flwr)|(?:strategy|aggregation|aggregator)$")


def canonical(name: str) -> str:
    """`flwr.server.strategy.FedAvg`, `Fed-Avg` and `FedAvgStrategy` are `fedavg`.

    A name that is not known comes back in lower case, of a dotted one the last part.
    """
    last = re.split(r"[.:/]", name.strip())[-1] or name
    plain = re.sub(r"[^a-z0-9]", "", last.lower())
    for candidate in (plain, _AFFIXES.sub("", plain)):
        candidate = _ALIASES.get(candidate, candidate)
        if candidate in KNOWN:
            return candidate
    return last.strip().lower()


ADAPTERS = ("lora", "dora")
PRIVACY = "privacy"


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
class StrategyInfo:
    """What is known about a strategy without running it.

    `trains` says which LoRA matrices a client trains and sends back: in `alternating`, B in odd rounds and A
    in even ones. `sends` says what a client is sent: tensors that it can derive from the seed stay away, and
    `residual` are factors of what the adapter itself cannot express, whose rank grows with the rounds.
    `cohort` says who trains in a round: clients `sampled` by seed, always the `largest`, or `one` for all.
    `refuses` maps what the strategy does not go with, adapters or `privacy`, to the reason.
    `builder` is `module:function`, the function makes the Flower strategy from a FederatedConfig.
    """

    name: str
    title: str
    paper: str
    summary: str
    kind: Literal["flower", "lora-aware", "reference"]
    builder: str
    options: tuple[Option, ...] = ()
    trains: Literal["both", "B", "alternating"] = "both"
    sends: Literal["both", "B", "both and residual", "residual"] = "both"
    cohort: Literal["sampled", "largest", "one"] = "sampled"
    refuses: Mapping[str, str] = field(default_factory=dict)

    @property
    def adapters(self) -> tuple[str, ...]:
        """The adapters that it goes with."""
        return tuple(adapter for adapter in ADAPTERS if adapter not in self.refuses)

    def trained_in(self, server_round: int) -> str:
        """Which matrices a client trains in round 1…: `both`, `A` or `B`."""
        if self.trains == "alternating":
            return "B" if server_round % 2 else "A"
        return self.trains

    @property
    def sends_adapter_both_ways(self) -> bool:
        """Whether what travels, down and up, is the adapter as it is saved in the end."""
        return self.communicates and self.sends == self.trains == "both"

    @property
    def grows(self) -> bool:
        """Whether the saved adapter has a residual merged in, which makes its rank larger than the run's."""
        return "residual" in self.sends

    @property
    def communicates(self) -> bool:
        """Whether adapters travel. A reference trains where its data are, whatever our messages carry."""
        return self.kind != "reference"


_NOT_A_MEAN = "noise is added to a mean of clipped updates, which this strategy's aggregate is not"
_NO_FEDERATION = "nothing is aggregated that noise could protect"
_OPTIMISER_STATE = "its server keeps moments of the updates from before the noise, so that ε would be wrong"
_NOT_LINEAR = "it works on the product of A and B, which DoRA's column norms and magnitudes change"

_MOMENTS = (
    Option("eta", 0.01, 1e-8, 10.0, "the server's learning rate"),
    Option("beta-1", 0.9, 0.0, 0.9999, "decay of the first moment"),
    Option("beta-2", 0.99, 0.0, 0.9999, "decay of the second moment"),
    Option("tau", 1e-3, 1e-12, 1.0, "keeps the step small where updates are small"),
)
_RESIDUAL = (
    Option("residual-rank", 0, 0, 65_536, "highest rank of the residual; 0: as it comes, exact", whole=True),
)


def _module(name: str) -> str:
    return f"evaluation.federated.strategies.{name}:build"


_ALL = (
    StrategyInfo(
        "fedavg",
        "FedAvg",
        "arXiv 1602.05629",
        "The mean of the clients' adapters, weighted by their rows.",
        "flower",
        _module("fedavg"),
    ),
    StrategyInfo(
        "fedprox",
        "FedProx",
        "arXiv 1812.06127",
        "FedAvg over clients whose loss holds them near the global adapter.",
        "flower",
        _module("fedprox"),
        options=(Option("proximal-mu", 1.0, 0.0, 1e6, "weight μ of the proximal term ½μ‖w - w_t‖²"),),
    ),
    StrategyInfo(
        "fedavgm",
        "FedAvgM",
        "arXiv 1909.06335",
        "The mean update goes through momentum on the server.",
        "flower",
        _module("fedavgm"),
        options=(
            Option("server-learning-rate", 1.0, 1e-6, 10.0, "step along the momentum"),
            Option("server-momentum", 0.9, 0.0, 0.9999, "share of the momentum that a round keeps"),
        ),
        refuses={PRIVACY: _OPTIMISER_STATE},
    ),
    StrategyInfo(
        "fedadam",
        "FedAdam",
        "arXiv 2003.00295",
        "The mean update is the gradient of an Adam step on the server.",
        "flower",
        _module("fedopt"),
        options=_MOMENTS,
        refuses={PRIVACY: _OPTIMISER_STATE},
    ),
    StrategyInfo(
        "fedyogi",
        "FedYogi",
        "arXiv 2003.00295",
        "As FedAdam, with Yogi's second moment, which grows and shrinks slowly.",
        "flower",
        _module("fedopt"),
        options=_MOMENTS,
        refuses={PRIVACY: _OPTIMISER_STATE},
    ),
    StrategyInfo(
        "fedmedian",
        "FedMedian",
        "arXiv 1803.01498",
        "The median of each number over the clients, which a few bad clients cannot move far.",
        "flower",
        _module("robust"),
        refuses={PRIVACY: _NOT_A_MEAN},
    ),
    StrategyInfo(
        "fedtrimmedavg",
        "FedTrimmedAvg",
        "arXiv 1803.01498",
        "The mean of each number over the clients without the highest and lowest.",
        "flower",
        _module("robust"),
        options=(Option("beta", 0.2, 0.0, 0.49, "share of the clients cut off at either end"),),
        refuses={PRIVACY: _NOT_A_MEAN},
    ),
    StrategyInfo(
        "krum",
        "Krum",
        "arXiv 1703.02757",
        "The one client's adapter that is nearest to most of the others.",
        "flower",
        _module("robust"),
        options=(Option("num-malicious-nodes", 0, 0, 100_000, "clients that may be malicious", whole=True),),
        refuses={PRIVACY: _NOT_A_MEAN},
    ),
    StrategyInfo(
        "flexlora",
        "FlexLoRA",
        "arXiv 2402.11505",
        "The mean of the products B·A, cut back to the rank by a singular value decomposition.",
        "lora-aware",
        _module("flexlora"),
        refuses={"dora": _NOT_LINEAR, PRIVACY: _NOT_A_MEAN},
    ),
    StrategyInfo(
        "ffa-lora",
        "FFA-LoRA",
        "arXiv 2403.12313",
        "A stays as the seed made it; only B is trained, sent and averaged, which makes the mean exact.",
        "lora-aware",
        _module("ffa_lora"),
        trains="B",
        sends="B",
        refuses={"dora": _NOT_LINEAR},
    ),
    StrategyInfo(
        "rolora",
        "RoLoRA",
        "arXiv 2409.02346",
        "B is trained in odd rounds and A in even ones, which makes each round's mean exact.",
        "lora-aware",
        _module("rolora"),
        trains="alternating",
        refuses={"dora": _NOT_LINEAR},
    ),
    StrategyInfo(
        "fedex-lora",
        "FedEx-LoRA",
        "arXiv 2410.09432",
        "FedAvg of A and B, and what that mean lacks of the mean product goes beside the frozen weights.",
        "lora-aware",
        _module("fedex_lora"),
        options=_RESIDUAL,
        sends="both and residual",
        refuses={"dora": _NOT_LINEAR, PRIVACY: _NOT_A_MEAN},
    ),
    StrategyInfo(
        "flora",
        "FLoRA",
        "arXiv 2409.05976",
        "The clients' matrices are stacked into a residual beside the frozen weights; clients start anew.",
        "lora-aware",
        _module("flora"),
        options=_RESIDUAL,
        sends="residual",
        refuses={"dora": _NOT_LINEAR, PRIVACY: _NOT_A_MEAN},
    ),
    StrategyInfo(
        "local-only",
        "Local only",
        "",
        "The clients with most rows each train alone, over all rounds; the largest one's adapter counts.",
        "reference",
        _module("local_only"),
        cohort="largest",
        refuses={PRIVACY: _NO_FEDERATION},
    ),
    StrategyInfo(
        "centralised",
        "Centralised",
        "",
        "One client with all rows takes as many steps as the round's clients would together.",
        "reference",
        _module("centralised"),
        cohort="one",
        refuses={PRIVACY: _NO_FEDERATION},
    ),
)

STRATEGIES: Mapping[str, StrategyInfo] = MappingProxyType({info.name: info for info in _ALL})


def get(name: str) -> StrategyInfo:
    """The strategy of that name. Raises UnknownNameError with near names."""
    return lookup("strategy", name, STRATEGIES)


def on_card(spelling: str) -> StrategyInfo | None:
    """The strategy that a method card names, in whatever spelling; None when it is none of these."""
    return next((info for info in _ALL if canonical(info.name) == canonical(spelling)), None)
