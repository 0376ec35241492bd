"""The one table of strategies: names, aliases, papers, and what each takes, sends and goes with.

What a row says is in `evaluation.method.strategy`. Both are light to import: the web pages read them too.
What computes is in one module a strategy, imported by `evaluation.federated.strategies.building`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from evaluation.method.strategy import MOST_CLIENTS, Fewest, Option, StrategyInfo
from evaluation.names import lookup

_AFFIXES = re.compile(r"^(?:custom|my|flower|flwr)|(?:strategy|aggregation|aggregator)$")


_MEDIAN = Fewest(lambda _: 3, "the median of two is their mean, and that of one is itself")
_TRIMMED = Fewest(
    lambda options: _least_trimmed(options["beta"]),
    "of fewer, this share is less than one client, so that nothing is cut off at either end",
)
_KRUM = Fewest(
    lambda options: 2 * int(options["num-malicious-nodes"]) + 3,
    "Krum outvotes f malicious clients only among 2f + 3 or more",
)

_NOT_A_MEAN = "noise is added to a mean of clipped updates, which this strategy's aggregate is not"
_NO_FEDERATION = "nothing is aggregated that noise could protect"
_ONE_CLIENT = "the adapter that counts has a half that one client keeps, which no noise covers"
_CONTROL = "its control variates would be sent without noise"
_OPTIMISER_STATE = "its server keeps moments of the updates from before the noise, so that ε would be wrong"

_MOMENTS = (
    Option("eta", 0.01, 1e-8, 10.0, "the server's learning rate"),
    Option("beta-1", 0.9, 0.0, 0.9999, "decay of the first moment"),
    Option("beta-2", 0.99, 0.0, 0.9999, "decay of the second moment"),
    Option("tau", 1e-3, 1e-12, 1.0, "keeps the step small where updates are small"),
)
_RESIDUAL = (
    Option("residual-rank", 0, 0, 65_536, "highest rank of the residual; 0: as it comes, exact", whole=True),
)


def _least_trimmed(beta: float) -> int:
    """The fewest clients of which this share is a whole one; more than any run has where it is none."""
    if beta * MOST_CLIENTS < 1:
        return MOST_CLIENTS + 1
    return next(count for count in range(1, MOST_CLIENTS + 1) if int(beta * count))


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
        aliases=("averaging", "avg", "fedaverage", "federatedaveraging"),
    ),
    StrategyInfo(
        "fedprox",
        "FedProx",
        "arXiv 1812.06127",
        "FedAvg over clients whose loss holds them near the global adapter.",
        "flower",
        _module("fedprox"),
        aliases=("prox",),
        options=(Option("proximal-mu", 1.0, 0.0, 1e6, "weight μ of the proximal term ½μ‖w - w_t‖²"),),
        as_fedavg=(("proximal-mu", 0.0),),
    ),
    StrategyInfo(
        "fedavgm",
        "FedAvgM",
        "arXiv 1909.06335",
        "The mean update goes through momentum on the server.",
        "flower",
        _module("fedavgm"),
        aliases=("fedavgmomentum",),
        options=(
            Option("server-learning-rate", 1.0, 1e-6, 10.0, "step along the momentum"),
            Option("server-momentum", 0.9, 0.0, 0.9999, "share of the momentum that a round keeps"),
        ),
        as_fedavg=(("server-learning-rate", 1.0), ("server-momentum", 0.0)),
        no_privacy=_OPTIMISER_STATE,
    ),
    StrategyInfo(
        "fedadam",
        "FedAdam",
        "arXiv 2003.00295",
        "The mean update is the gradient of an Adam step on the server.",
        "flower",
        _module("fedopt"),
        options=_MOMENTS,
        no_privacy=_OPTIMISER_STATE,
    ),
    StrategyInfo(
        "fedyogi",
        "FedYogi",
        "arXiv 2003.00295",
        "As FedAdam, with Yogi's second moment, which grows and shrinks slowly.",
        "flower",
        _module("fedopt"),
        options=_MOMENTS,
        no_privacy=_OPTIMISER_STATE,
    ),
    StrategyInfo(
        "fednova",
        "FedNova",
        "arXiv 2007.07481",
        "The mean of the clients' changes a step, times the steps that they take on average.",
        "flower",
        _module("fednova"),
        no_privacy=_NOT_A_MEAN,
    ),
    StrategyInfo(
        "scaffold",
        "SCAFFOLD",
        "arXiv 1910.06378",
        "Control variates take the clients' drift out of their steps; they travel beside the adapter.",
        "flower",
        _module("scaffold"),
        options=(Option("server-learning-rate", 1.0, 1e-6, 10.0, "step along the mean change"),),
        control=True,
        no_privacy=_CONTROL,
    ),
    StrategyInfo(
        "fedmedian",
        "FedMedian",
        "arXiv 1803.01498",
        "The median of each number over the clients, which a few bad clients cannot move far.",
        "flower",
        _module("robust"),
        no_privacy=_NOT_A_MEAN,
        fewest=_MEDIAN,
    ),
    StrategyInfo(
        "fedtrimmedavg",
        "FedTrimmedAvg",
        "arXiv 1803.01498",
        "The mean of each number over the clients without the highest and lowest.",
        "flower",
        _module("robust"),
        aliases=("fedtrimmedaverage", "trimmedmean"),
        options=(Option("beta", 0.2, 0.0, 0.49, "share of the clients cut off at either end"),),
        no_privacy=_NOT_A_MEAN,
        fewest=_TRIMMED,
    ),
    StrategyInfo(
        "krum",
        "Krum",
        "arXiv 1703.02757",
        "The one client's adapter that is nearest to most of the others.",
        "flower",
        _module("robust"),
        options=(Option("num-malicious-nodes", 0, 0, 100_000, "clients that may be malicious", whole=True),),
        no_privacy=_NOT_A_MEAN,
        fewest=_KRUM,
    ),
    StrategyInfo(
        "flexlora",
        "FlexLoRA",
        "arXiv 2402.11505",
        "The mean of the products B·A, cut back to the rank by a singular value decomposition.",
        "lora-aware",
        _module("flexlora"),
        on_products=True,
        averages=("dora",),
        ranks=True,
        no_privacy=_NOT_A_MEAN,
    ),
    StrategyInfo(
        "hetlora",
        "HetLoRA",
        "arXiv 2401.06432",
        "Each client has a rank of its own, may give up a part of it, and counts by the size of its product.",
        "lora-aware",
        _module("hetlora"),
        options=(
            Option("prune-decay", 0.99, 0.1, 1.0, "share γ of its rank that a client keeps; 1: all of it"),
            Option("prune-weight", 5e-4, 0.0, 1e3, "weight λ of the norms of what may be cut off"),
        ),
        on_products=True,
        ranks=True,
        no_privacy=_NOT_A_MEAN,
    ),
    StrategyInfo(
        "ffa-lora",
        "FFA-LoRA",
        "arXiv 2403.12313",
        "A stays as the seed made it; only B is trained, sent and averaged, which makes the mean exact.",
        "lora-aware",
        _module("ffa_lora"),
        aliases=("ffa",),
        trains="B",
        sends="B",
        on_products=True,
    ),
    StrategyInfo(
        "rolora",
        "RoLoRA",
        "arXiv 2409.02346",
        "B is trained in odd rounds and A in even ones, which makes each round's mean exact.",
        "lora-aware",
        _module("rolora"),
        trains="alternating",
        on_products=True,
    ),
    StrategyInfo(
        "fedex-lora",
        "FedEx-LoRA",
        "arXiv 2410.09432",
        "FedAvg of A and B, and what that mean lacks of the mean product goes beside the frozen weights.",
        "lora-aware",
        _module("fedex_lora"),
        card="fedex",
        options=_RESIDUAL,
        sends="both and residual",
        on_products=True,
        no_privacy=_NOT_A_MEAN,
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
        on_products=True,
        ranks=True,
        no_privacy=_NOT_A_MEAN,
    ),
    StrategyInfo(
        "lora-fair",
        "LoRA-FAIR",
        "arXiv 2411.14961",
        "FedAvg of A and B, and B refined so that their product comes near to the mean product.",
        "lora-aware",
        _module("lora_fair"),
        options=(Option("refinement", 0.01, 1e-9, 1e3, "weight λ that keeps B near its mean"),),
        on_products=True,
        no_privacy=_NOT_A_MEAN,
    ),
    StrategyInfo(
        "fedsa-lora",
        "FedSA-LoRA",
        "arXiv 2410.01463",
        "Only A is shared and averaged; each client keeps a B of its own.",
        "lora-aware",
        _module("fedsa_lora"),
        aliases=("fedsa",),
        sends="A",
        stays="B",
        on_products=True,
        no_privacy=_ONE_CLIENT,
    ),
    StrategyInfo(
        "local-only",
        "Local only",
        "",
        "The clients with most rows each train alone, over all rounds; the largest one's adapter counts.",
        "reference",
        _module("local_only"),
        cohort="largest",
        no_privacy=_NO_FEDERATION,
    ),
    StrategyInfo(
        "centralised",
        "Centralised",
        "",
        "One client with all rows takes as many steps as the round's clients would together.",
        "reference",
        _module("centralised"),
        aliases=("centralized",),
        cohort="one",
        no_privacy=_NO_FEDERATION,
    ),
)
# Known by name alone, from people's configurations.
_NOT_TRAINED_HERE = (
    StrategyInfo("bulyan", "Bulyan"),
    StrategyInfo("fedadagrad", "FedAdagrad"),
    StrategyInfo("fedcda", "FedCDA"),
    StrategyInfo("fedit", "FedIT"),
    StrategyInfo("fedopt", "FedOpt"),
    StrategyInfo("moon", "MOON"),
    StrategyInfo("multikrum", "MultiKrum"),
    StrategyInfo("q-fedavg", "q-FedAvg", aliases=("qffl",)),
    StrategyInfo("slora", "SLoRA"),
)

STRATEGIES: Mapping[str, StrategyInfo] = MappingProxyType({info.name: info for info in _ALL})


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


_BY_CARD = {info.card or _letters(info.name): info for info in (*_ALL, *_NOT_TRAINED_HERE)}
_SPELLINGS = {
    spelling: card
    for card, info in _BY_CARD.items()
    for spelling in (card, _letters(info.name), *info.aliases)
}
KNOWN = frozenset(_BY_CARD)
"""How method cards hold the strategies that are known, trained here or not."""


def get(name: str) -> StrategyInfo:
    """The strategy of that name. Raises UnknownNameError with near names."""
    return lookup("strategy", name, STRATEGIES)


def canonical(name: str) -> str:
    """How method cards hold a strategy: `flwr.server.strategy.FedAvg` and `Fed-Avg` are `fedavg`.

    A name that is not known comes back in lower case, of a dotted one the last part.
    """
    last = re.split(r"[.:/]", name.strip())[-1] or name
    plain = _letters(last)
    for candidate in (plain, _AFFIXES.sub("", plain)):
        if candidate in _SPELLINGS:
            return _SPELLINGS[candidate]
    return last.strip().lower()


def on_card(spelling: str) -> StrategyInfo | None:
    """The strategy trained here that a card names, in whatever spelling; None when it is none of these."""
    info = _BY_CARD.get(canonical(spelling))
    return info if info and info.builder else None


def strategy_title(card: str | None) -> str:
    """A strategy's name as its authors write it, from a method card; "" where there is none."""
    return _BY_CARD[card].title if card in _BY_CARD else card or ""
