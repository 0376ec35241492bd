"""Names of aggregation strategies in the many spellings of configurations and code."""

from __future__ import annotations

import re

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
