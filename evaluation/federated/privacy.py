"""Differential privacy on the server: clipped updates, Gaussian noise on their mean, and what it amounts to.

Clipping and noise are Flower's own strategies, around one whose aggregate is a mean:

    w_{t+1} = w_t + (1/m) Σ_k Δ_k min(1, C / ‖Δ_k‖) + N(0, (z C / m)² I)

over the m clients of the round, all tensors of an update Δ_k as one vector; C is fixed (McMahan et al., arXiv
1710.06963) or follows a quantile of the norms (Andrew et al., arXiv 1905.03871), z is the noise multiplier.
Where flwr 1.32.1 departs from that, so that ε would not hold, the classes below put it right:

* clients weigh the same, as a mean weighted by rows has another sensitivity than C / m;
* m are the clients that answered, not those that were asked;
* adaptive: the noise goes with the norm that clipped, not with the next one; the norm rises while more
  updates exceed it than should and falls while fewer do, where Flower moves it the other way, ever further
  off; the count of clipped updates gets noise of z where Flower's m / 20 is too little for z.

The noise comes from the run's seed, so that a run can be repeated bit for bit. It hides a client only from
those who do not know the seed: a run that must protect people needs a secret one, and publishes its adapter
alone.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import (
    DifferentialPrivacyServerSideAdaptiveClipping,
    DifferentialPrivacyServerSideFixedClipping,
    FedAvg,
)

from evaluation.federated.config import FederatedConfig
from evaluation.federated.exchange import ADAPTER, EXAMPLES, METRICS
from evaluation.federated.factors import Arrays
from evaluation.federated.strategies import resumable

_STATE = "privacy"
_NORM = "clipping-norm"


def protected(strategy: FedAvg, config: FederatedConfig) -> FixedClipping | AdaptiveClipping:
    """The strategy with the run's clipping and noise around it."""
    assert config.privacy is not None
    settings, clients = config.privacy, config.clients_per_round
    if settings.clipping == "fixed":
        return FixedClipping(
            config.seed, strategy, settings.noise_multiplier, settings.clipping_norm, clients
        )
    return AdaptiveClipping(
        config.seed,
        strategy,
        settings.noise_multiplier,
        clients,
        initial_clipping_norm=settings.clipping_norm,
        target_clipped_quantile=settings.target_quantile,
        clip_norm_lr=settings.quantile_rate,
        clipped_count_stddev=max(clients / 20, settings.noise_multiplier),
    )


class _Sound:
    """What both kinds need: equal weights, the clients that answered, and noise by seed and round."""

    strategy: FedAvg
    num_sampled_clients: int
    current_arrays: ArrayRecord

    def __init__(self, seed: int, *flower: Any, **options: Any) -> None:
        super().__init__(*flower, **options)
        self.seed = seed

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Clip, average and add noise. The replies are changed."""
        answered = list(replies)
        self.num_sampled_clients = len(answered)
        for reply in answered:
            reply.content[METRICS][EXAMPLES] = 1
        returned = answered[0].content[ADAPTER].keys()
        self.current_arrays = ArrayRecord({name: self.current_arrays[name] for name in returned})
        with _seeded(f"{self.seed}/{server_round}/noise"):
            return super().aggregate_train(server_round, answered)  # type: ignore[misc]  # Flower's, beside it


class FixedClipping(_Sound, DifferentialPrivacyServerSideFixedClipping):
    """Flower's, with one norm for all rounds."""

    def state(self) -> dict[str, Arrays]:
        """What the strategy inside keeps."""
        return resumable.state_of(self.strategy)

    def restore(self, state: dict[str, Arrays]) -> None:
        """Go on from a saved state."""
        resumable.restore(self.strategy, state)


class AdaptiveClipping(_Sound, DifferentialPrivacyServerSideAdaptiveClipping):
    """Flower's, with a norm that goes after the target quantile of the updates' norms."""

    clipping_norm: float

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """As Flower's; keeps the norm that this round's updates will be clipped to."""
        self._clips_to = self.clipping_norm
        return super().configure_train(server_round, arrays, config, grid)

    def _add_noise_to_aggregated_arrays(self, aggregated: ArrayRecord) -> ArrayRecord:
        following, self.clipping_norm = self.clipping_norm, self._clips_to
        try:
            return super()._add_noise_to_aggregated_arrays(aggregated)
        finally:
            self.clipping_norm = following

    def _geometric_update(self, clipped_fraction: float) -> None:
        # Andrew et al. step by the fraction that is not clipped.
        super()._geometric_update(1 - clipped_fraction)

    def state(self) -> dict[str, Arrays]:
        """The clipping norm, and what the strategy inside keeps."""
        return resumable.state_of(self.strategy) | {_STATE: {_NORM: numpy.array(self.clipping_norm)}}

    def restore(self, state: dict[str, Arrays]) -> None:
        """Go on from a saved state."""
        resumable.restore(self.strategy, {name: kept for name, kept in state.items() if name != _STATE})
        if _STATE in state:
            self.clipping_norm = float(state[_STATE][_NORM])


@contextmanager
def _seeded(text: str) -> Iterator[None]:
    """NumPy's global random state, from which Flower draws, as decided by `text`; put back afterwards."""
    before: Any = numpy.random.get_state()
    numpy.random.seed(list(hashlib.sha256(text.encode()).digest()))
    try:
        yield
    finally:
        numpy.random.set_state(before)


def epsilon(config: FederatedConfig, rounds: int) -> float | None:
    """The ε at the run's δ that so many rounds have spent, by opacus' RDP accountant.

    It is that of the Gaussian mechanism with each client in a round with probability clients_per_round /
    clients, independently (Poisson sampling; one client more or less). Here a fixed number is sampled, for
    which this is the customary approximation, not a bound. None without privacy, and without noise or
    with next to none, where no ε holds.
    """
    if config.privacy is None or config.privacy.noise_multiplier == 0:
        return None
    from opacus.accountants.analysis import rdp

    spent = rounds * _one_round(config.privacy.noise_multiplier, config.clients_per_round / config.clients)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that an order beyond the largest or smallest could do even better
        value = float(rdp.get_privacy_spent(orders=_orders(), rdp=spent, delta=config.privacy.delta)[0])
    return value if math.isfinite(value) else None


@lru_cache
def _one_round(noise_multiplier: float, rate: float) -> Any:
    """The Rényi divergences of one round at each of the orders; those of several rounds add up."""
    from opacus.accountants.analysis import rdp

    return rdp.compute_rdp(q=rate, noise_multiplier=noise_multiplier, steps=1, orders=_orders())


def _orders() -> list[float]:
    from opacus.accountants import RDPAccountant

    return list(RDPAccountant.DEFAULT_ALPHAS)
