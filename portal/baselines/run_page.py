"""A baseline run as its page shows it: where it stands, its rounds, the split, and its settings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evaluation.adapter_kinds import KINDS
from evaluation.benchmarks import BENCHMARKS
from evaluation.federated.config import FederatedConfig
from evaluation.method.row_form import deviations_text, form_text
from evaluation.method.strategies import STRATEGIES
from evaluation.rules.challenges import CHALLENGES
from evaluation.rules.protocol import FOUR_BIT
from portal.baselines.curves import Curve, curves_of
from portal.intake.progress import Step
from portal.runs import reproductions
from portal.runs.models import BaselineRun, Reproduction, RoundMetric
from portal.submissions.models import Submission

Status = BaselineRun.Status

REFRESH_SECONDS = 2
# What a table and a picture can hold; the API has all.
ROUNDS_SHOWN = 200
BARS_SHOWN = 200


@dataclass(frozen=True)
class Totals:
    """Over all rounds until now: bytes of both directions, seconds on the clock, bytes of memory, joules.

    `energy_net` is above idle, None where a round's is not known; `meter` names the counters."""

    bytes: int
    seconds: float
    client_memory: int
    client_vram: int | None
    energy: float | None
    energy_net: float | None
    meter: str
    loss: float | None
    epsilon: float | None


@dataclass(frozen=True)
class Share:
    """A bar: the rows of a client, or of the first of several alike, and what it lacks to the largest."""

    place: int
    client: int
    rows: int
    lacks: int


@dataclass(frozen=True)
class Split:
    """How the rows are shared among the clients; of very many clients, every so many have a bar."""

    clients: int
    shares: tuple[Share, ...]
    smallest: int
    largest: int

    @property
    def width(self) -> int:
        """Of the picture, in pixels; a page that is narrower presses it together."""
        return 32 * len(self.shares)


@dataclass(frozen=True)
class BenchmarkLine:
    """One benchmark of a comparison with the original; fractions."""

    title: str
    items: int
    original: float
    retrained: float
    difference: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class ClientLosses:
    """The clients' losses on their own held-out rows after `round`, the highest first; of many the first."""

    round: int
    clients: int
    losses: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Shown:
    """Everything on a run's page. `refresh_seconds` is None once nothing changes by itself."""

    steps: list[Step]
    refresh_seconds: int | None
    phase: str
    metrics: Sequence[RoundMetric]
    totals: Totals | None
    curves: list[Curve]
    failures: list[tuple[int, Any, str]]
    client_losses: ClientLosses | None
    split: Split | None
    facts: list[tuple[str, str]]
    toml: str
    reproduction: Reproduction | None
    benchmarks: list[BenchmarkLine]
    incomparable: str


def shown(run: BaselineRun, *, for_staff: bool) -> Shown:
    """Read a run whose base model, entry and original came with it."""
    metrics = list(run.round_metrics.all())
    reproduction = Reproduction.objects.select_related("judged_by").filter(run=run).first()
    if reproduction and not for_staff and not reproduction.is_public:
        reproduction = None
    retrained = for_staff and run.original_id and run.submission_id and reproduction is None
    config = FederatedConfig.from_dict(run.config)
    return Shown(
        steps=_steps(run),
        refresh_seconds=REFRESH_SECONDS if run.is_active else None,
        phase=_phase(run),
        metrics=metrics[-ROUNDS_SHOWN:],
        totals=_totals(metrics) if metrics else None,
        curves=curves_of(metrics, run.rounds),
        failures=[
            (metric.round, failure["client"], failure["reason"])
            for metric in metrics
            for failure in metric.failures
        ],
        client_losses=_client_losses(metrics),
        split=_split(run.setup.get("partition") or ()),
        facts=_facts(config, _rows(run), threads_fixed="threads" in run.config),
        toml=_toml(config),
        reproduction=reproduction,
        benchmarks=_benchmarks(reproduction) if reproduction else [],
        incomparable=reproductions.why_incomparable(run) if retrained else "",
    )


def _steps(run: BaselineRun) -> list[Step]:
    labels = ["Queued", "Trained", "Evaluated", "Reviewed", "Published"]
    if run.status != Status.SUCCEEDED or run.submission is None:
        here = 0 if run.status == Status.QUEUED else 1
        broken = run.status in (Status.FAILED, Status.CANCELLED)
        detail = run.get_status_display()
    else:
        entry = run.submission.status
        ended = (Submission.Status.FAILED, Submission.Status.REJECTED, Submission.Status.WITHDRAWN)
        if entry == Submission.Status.PUBLISHED:
            return [Step(label, "done") for label in labels]
        here = 3 if entry in (Submission.Status.IN_REVIEW, Submission.Status.REJECTED) else 2
        broken, detail = entry in ended, run.submission.get_status_display()
    states = ["done"] * here + ["failed" if broken else "current"] + ["todo"] * (len(labels) - here - 1)
    return [
        Step(label, state, detail if index == here else "")
        for index, (label, state) in enumerate(zip(labels, states, strict=True))
    ]


def _phase(run: BaselineRun) -> str:
    if run.status == Status.QUEUED:
        return run.wait_in_words or "waiting for a free worker"
    return str(run.progress.get("phase", "")) if run.status == Status.RUNNING else ""


def _split(partition: Sequence[int]) -> Split | None:
    if not partition:
        return None
    largest = max(partition)
    bars = list(enumerate(partition))[:: 1 + len(partition) // BARS_SHOWN]
    shares = tuple(Share(place, number, rows, largest - rows) for place, (number, rows) in enumerate(bars))
    return Split(len(partition), shares, min(partition), largest)


def _totals(metrics: Sequence[RoundMetric]) -> Totals:
    energies = [metric.energy_joules for metric in metrics if metric.energy_joules is not None]
    above_idle = [metric.energy_net_joules for metric in metrics if metric.energy_net_joules is not None]
    last = metrics[-1]
    return Totals(
        bytes=sum(metric.bytes_both_ways for metric in metrics),
        seconds=sum(metric.seconds for metric in metrics),
        client_memory=max(metric.client_peak_rss_bytes for metric in metrics),
        client_vram=max((metric.client_peak_vram_bytes or 0 for metric in metrics), default=0) or None,
        energy=sum(energies) if energies else None,
        energy_net=sum(above_idle) if len(above_idle) == len(metrics) else None,
        meter=" and ".join(sorted({metric.energy_method for metric in metrics if metric.energy_method})),
        loss=last.train_loss,
        epsilon=last.epsilon,
    )


def _client_losses(metrics: Sequence[RoundMetric]) -> ClientLosses | None:
    last = next((metric for metric in reversed(metrics) if metric.client_losses), None)
    if last is None:
        return None
    losses = sorted(((one["client"], one["loss"]) for one in last.client_losses), key=lambda one: -one[1])
    return ClientLosses(last.round, len(losses), tuple(losses[:BARS_SHOWN]))


def _benchmarks(reproduction: Reproduction) -> list[BenchmarkLine]:
    return [
        BenchmarkLine(
            title=BENCHMARKS[line["benchmark"]].title,
            **{name: value for name, value in line.items() if name != "benchmark"},
        )
        for line in reproduction.benchmarks
    ]


def _rows(run: BaselineRun) -> str:
    """The training rows: once the run has begun, what it read, how many and their digest."""
    setup = run.setup
    if "data" not in setup:
        return str(run.config["train_data"])
    digest = f", SHA-256 {setup['data_digest'][:12]}…" if "data_digest" in setup else ""
    return f"{setup['data']}, {setup['rows']:,} rows{digest}"


def _facts(config: FederatedConfig, rows: str, *, threads_fixed: bool) -> list[tuple[str, str]]:
    """The settings in words; runs from before threads were one took what their machine had."""
    config = config.settled()
    info = STRATEGIES.get(config.strategy)
    title = info.title if info else config.strategy
    options = ", ".join(f"{name} {value:g}" for name, value in config.strategy_options)
    kind = KINDS[config.adapter].title if config.adapter in KINDS else config.adapter
    partition, privacy = config.partition, config.privacy
    split = " ".join(
        part
        for part in (
            partition.kind if partition.kind != "iid" else "alike (IID)",
            f"by {partition.column}" if partition.column else "",
            f"alpha {partition.alpha:g}" if partition.alpha else "",
            f"{partition.labels} values a client" if partition.labels else "",
        )
        if part
    )
    rates = f"{config.learning_rate:g}"
    if config.learning_rate_min != config.learning_rate:
        rates += f" → {config.learning_rate_min:g}, {config.schedule}"
    facts = [
        ("Challenge", CHALLENGES[config.challenge].title),
        ("Base model", config.base_model_id),
        ("Strategy", f"{title} ({options})" if options else title),
        ("Clients", f"{config.clients}, {config.clients_per_round} of them a round"),
        ("Rounds", f"{config.rounds}"),
        ("Local training", f"{config.local_steps} steps of batches of {config.batch_size}"),
        ("Sequence length", f"{config.sequence_length} tokens"),
        ("Learning rate", rates),
        ("Adapter", f"{kind}, rank {config.rank}, α {config.alpha}, dropout {config.dropout:g}"),
        ("Target modules", ", ".join(config.target_modules)),
        ("Precision", f"{config.precision}, 4-bit" if config.precision in FOUR_BIT else config.precision),
        ("Training rows", rows),
        ("Row form", form_text(config.template, config.form.columns)),
        ("Partition", split),
        ("Seed", f"{config.seed}"),
    ]
    beyond = deviations_text(config.learn_end_token, config.draw_anew, config.group_by_length)
    if beyond:
        facts.append(("Beyond the public apps", beyond))
    if threads_fixed:
        facts.append(("Threads", f"{config.threads} of a client on the CPU"))
    facts += _of_devices(config)
    if config.held_out:
        every = "round" if config.evaluate_every == 1 else f"{config.evaluate_every} rounds"
        held_out = f"{config.held_out} rows, every {every}"
        facts.append(("Held-out rows", held_out))
    if privacy:
        noise = f"noise multiplier {privacy.noise_multiplier:g}, δ {privacy.delta:g}"
        facts.append(("Privacy", f"{privacy.clipping} clipping at {privacy.clipping_norm:g}, {noise}"))
    return facts


def _of_devices(config: FederatedConfig) -> list[tuple[str, str]]:
    """How clients differ, what they send and what is kept of them; nothing of what is as by default."""
    devices, facts = config.devices, []
    lists = {"rank": devices.ranks, "local steps": devices.steps, "speed": devices.speeds}
    dealt = [f"{name} {', '.join(f'{one:g}' for one in values)}" for name, values in lists.items() if values]
    if dealt:
        facts.append(("Clients in turn", "; ".join(dealt)))
    if devices.deadline:
        facts.append(("Deadline", f"{devices.deadline:g} steps' time of a client of speed 1"))
    if devices.drop_out:
        facts.append(("Drop-out", f"{devices.drop_out:g} of the clients asked"))
    if devices.poisoned:
        facts.append(("Poisoned clients", f"{devices.poisoned}"))
    if config.compression != "none":
        share = f", the largest {config.top_k:g}" if config.compression == "top-k" else ""
        facts.append(("Updates sent as", f"{config.compression}{share}"))
    if config.own_held_out:
        facts.append(("Clients' own held-out rows", f"{config.own_held_out} each"))
    return facts


def _toml(config: FederatedConfig) -> str:
    """The settings as a Flower app has them, for copying."""
    settings = config.settled().run_config()
    values = {k: v for k, v in settings.items() if k not in ("model.path", "train.data")}
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
    return "\n".join(["[tool.flwr.app.config]", *lines])
