"""How a submission was trained, as its Flower app's configuration says: the method card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from evaluation import adapter_kinds as kinds
from evaluation.errors import DataError
from evaluation.method.row_form import deviations_text, form_text
from evaluation.method.strategies import strategy_title

Scalar = bool | int | float | str


@dataclass(frozen=True, slots=True)
class DifferentialPrivacy:
    """What a configuration says of differential privacy; None where it is silent."""

    noise_multiplier: float | None = None
    clipping_norm: float | None = None
    epsilon: float | None = None
    delta: float | None = None


@dataclass(frozen=True, slots=True)
class MethodCard:
    """The method of one run. None: the configuration does not say.

    `clients` is the number of SuperNodes, `fraction` the share of them asked each round and
    `clients_per_round` what Flower makes of both. `strategy` is in the spelling of
    `evaluation.method.strategies`, `strategy_options` are its other settings by key.
    `quantization` is the bits a weight of the frozen base model takes, 0 for a model that is not
    quantised, `quantization_type` the kind of 4-bit weights. `target_modules` is as written; ("all-linear",)
    or one regular expression may stand for all.
    `local_epochs` is None where `local_steps` decide. Learning rates are those of the first and last round.
    `training_rows` are those that were trained on, where they are not all of the static data set.
    `template` and `instruction_columns` say how a row is written; `learn_end_token`, `draw_anew` (other rows
    in each round) and `group_by_length` (rows of like length in a batch) what the public apps do not do.
    `differing` says how clients differ and how what they send is packed, so that what travels is not told by
    the adapter's size.
    """

    base_model: str | None = None
    static_dataset: str | None = None
    strategy: str | None = None
    strategy_options: tuple[tuple[str, Scalar], ...] = ()
    clients: int | None = None
    fraction: float | None = None
    clients_per_round: int | None = None
    rounds: int | None = None
    local_steps: int | None = None
    local_epochs: float | None = None
    batch_size: int | None = None
    gradient_accumulation: int | None = None
    sequence_length: int | None = None
    optimizer: str | None = None
    learning_rate_max: float | None = None
    learning_rate_min: float | None = None
    peft_type: str | None = None
    rank: int | None = None
    alpha: float | None = None
    dropout: float | None = None
    target_modules: tuple[str, ...] | None = None
    use_dora: bool | None = None
    quantization: int | None = None
    differential_privacy: DifferentialPrivacy | None = None
    quantization_type: str | None = None
    training_rows: str | None = None
    template: str | None = None
    instruction_columns: tuple[str, ...] | None = None
    learn_end_token: bool | None = None
    draw_anew: bool | None = None
    group_by_length: bool | None = None
    differing: str | None = None

    def to_json(self) -> dict[str, object]:
        """A JSON-serialisable form that `from_json` reads."""
        targets, columns = self.target_modules, self.instruction_columns
        return asdict(self) | {
            "strategy_options": dict(self.strategy_options),
            "target_modules": None if targets is None else list(targets),
            "instruction_columns": None if columns is None else list(columns),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> MethodCard:
        """Raises DataError when `value` was not made by `to_json`."""
        options, targets = value.get("strategy_options"), value.get("target_modules")
        privacy = value.get("differential_privacy")
        columns = value.get("instruction_columns")
        try:
            if not isinstance(options, Mapping) or not isinstance(targets, list | None):
                raise TypeError
            if not isinstance(columns, list | None):
                raise TypeError
            fields = dict(value) | {
                "strategy_options": tuple(options.items()),
                "target_modules": None if targets is None else tuple(targets),
                "instruction_columns": None if columns is None else tuple(columns),
                "differential_privacy": DifferentialPrivacy(**privacy) if isinstance(privacy, dict) else None,
            }
            return cls(**fields)  # type: ignore[arg-type]  # an unknown name is the TypeError below
        except TypeError as error:
            raise DataError("the stored method card is damaged; inspect the submission again") from error

    @property
    def suggested_method(self) -> str:
        """What a board might call the entry, like "FedAvg, rank 16"; empty where no strategy is known."""
        strategy = dict(self.rows()).get("Strategy", "").split(" (")[0]
        return f"{strategy}, rank {self.rank}" if self.rank and strategy else strategy

    def rows(self) -> tuple[tuple[str, str], ...]:
        """The card for people: a label and a text each, without what is not known."""
        shown = (
            ("Base model", self.base_model),
            ("Quantisation", self._quantisation()),
            ("Training set", self.training_rows or self.static_dataset),
            ("Row form", form_text(self.template, self.instruction_columns) if self.template else None),
            ("Strategy", self._strategy()),
            ("Clients", self._clients()),
            ("Clients that differ", self.differing),
            ("Rounds", _count(self.rounds)),
            ("Local training", self._local_training()),
            ("Beyond the public apps", self._beyond()),
            ("Sequence length", _count(self.sequence_length, "tokens")),
            ("Optimiser", self.optimizer),
            ("Learning rate", self._learning_rate()),
            ("PEFT", self._peft()),
            ("Target modules", ", ".join(self.target_modules or ()) or None),
            ("Differential privacy", self._privacy()),
        )
        return tuple((label, text) for label, text in shown if text)

    def _quantisation(self) -> str | None:
        if self.quantization is None:
            return None
        kind = f", {self.quantization_type}" if self.quantization_type and self.quantization == 4 else ""
        return f"{self.quantization}-bit{kind}" if self.quantization else "none"

    def _beyond(self) -> str | None:
        return deviations_text(self.learn_end_token, self.draw_anew, self.group_by_length) or None

    def _strategy(self) -> str | None:
        if self.strategy is None and not self.strategy_options:
            return None
        name = strategy_title(self.strategy) or "not named"
        options = ", ".join(f"{key} {_plain(value)}" for key, value in self.strategy_options)
        return f"{name} ({options})" if options else name

    def _clients(self) -> str | None:
        share = f"{_plain(self.fraction)} of them a round" if self.fraction is not None else None
        drawn = f"{self.clients_per_round:,} a round" if self.clients_per_round is not None else share
        total = f"{self.clients:,}" if self.clients is not None else None
        return ", ".join(part for part in (total, drawn) if part) or None

    def _local_training(self) -> str | None:
        steps = _count(self.local_steps, "steps")
        if steps is None and self.local_epochs is not None:
            steps = f"{_plain(self.local_epochs)} epochs"
        batch = f"batch {self.batch_size:,}" if self.batch_size is not None else None
        if batch and self.gradient_accumulation not in (None, 1):
            batch += f" × {self.gradient_accumulation:,}"
        return ", ".join(part for part in (steps, batch) if part) or None

    def _learning_rate(self) -> str | None:
        rates = [rate for rate in (self.learning_rate_max, self.learning_rate_min) if rate is not None]
        return " → ".join(dict.fromkeys(map(_plain, rates))) or None

    def _peft(self) -> str | None:
        kind = kinds.title(self.peft_type, self.use_dora) or kinds.LORA.title
        values = (("rank", self.rank), ("α", self.alpha), ("dropout", self.dropout))
        stated = ", ".join(f"{label} {_plain(value)}" for label, value in values if value is not None)
        return f"{kind}, {stated}" if stated else (kind if self.use_dora or self.peft_type else None)

    def _privacy(self) -> str | None:
        privacy = self.differential_privacy
        if privacy is None:
            return None
        values = (
            ("noise multiplier", privacy.noise_multiplier),
            ("clipping norm", privacy.clipping_norm),
            ("ε", privacy.epsilon),
            ("δ", privacy.delta),
        )
        stated = ", ".join(f"{label} {_plain(value)}" for label, value in values if value is not None)
        return stated or "yes"


def _count(value: int | None, unit: str = "") -> str | None:
    return None if value is None else f"{value:,} {unit}".strip()


def _plain(value: Scalar) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
