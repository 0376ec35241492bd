"""From the values of an app's configuration to its MethodCard."""

from __future__ import annotations

import re

from evaluation.findings import FindingCollector, excerpt
from evaluation.flowerconfig import fields
from evaluation.flowerconfig.document import Document
from evaluation.flowerconfig.layouts import AppLayout, Entry, Federation, federations
from evaluation.flowerconfig.values import AppValues
from evaluation.method.card import DifferentialPrivacy, MethodCard, Scalar
from evaluation.method.strategies import KNOWN, canonical
from evaluation.rules.protocol import FOUR_BIT

# FedAvg of Flower asks at least two clients a round unless it is told otherwise (min_train_nodes).
FLOWER_MIN_CLIENTS = 2
MAX_LISTED = 20
MAX_WORD = 40
# use-ffa-lora as well as use-ffalora
_FLAG = fields.STRATEGY_FLAG.format(names="|".join("_?".join(name) for name in sorted(KNOWN)))
_QUANTIZATION_BITS = {
    "none": 0, "no": 0, "false": 0, "0": 0, "nf4": 4, "fp4": 4, "int4": 4, "4": 4, "4bit": 4, "bnb4bit": 4,
    "int8": 8, "8": 8, "8bit": 8, "fp8": 8, "fp16": 16, "bf16": 16, "float16": 16, "bfloat16": 16, "16": 16,
    "16bit": 16, "fp32": 32, "float32": 32, "32": 32, "32bit": 32,
}  # fmt: skip


class MethodReader:
    """Reads one app's configuration; what is wrong or unclear in it goes to `findings`."""

    def __init__(self, layout: AppLayout, document: Document, findings: FindingCollector) -> None:
        self.document = document
        self.layout = layout
        self._values = AppValues(layout.config or (), document, findings)

    def card(self, expected_clients: int | None) -> MethodCard:
        """The card. `expected_clients` stands in for a number of SuperNodes that the file does not give."""
        values = self._values
        fraction, clients = values.fraction(*fields.FRACTION), self._clients()
        steps, epochs = self._local_training()
        rate_max, rate_min = self._learning_rates()
        strategy = self._strategy()
        card = MethodCard(
            base_model=values.text(*fields.BASE_MODEL),
            static_dataset=values.text(*fields.STATIC_DATASET),
            strategy=strategy,
            clients=clients,
            fraction=fraction,
            clients_per_round=self._clients_per_round(clients or expected_clients, fraction),
            rounds=values.count(*fields.ROUNDS),
            local_steps=steps,
            local_epochs=epochs,
            batch_size=values.count(*fields.BATCH_SIZE),
            gradient_accumulation=values.count(*fields.ACCUMULATION),
            sequence_length=values.count(*fields.SEQUENCE_LENGTH),
            optimizer=values.text(*fields.OPTIMIZER),
            learning_rate_max=rate_max,
            learning_rate_min=rate_min,
            rank=values.count(*fields.RANK),
            alpha=values.number(*fields.ALPHA),
            dropout=values.number(*fields.DROPOUT, most=1),
            target_modules=values.names(*fields.TARGET_MODULES),
            use_dora=values.flag(*fields.USE_DORA),
            peft_type=self._peft_type(),
            quantization=self._quantization(),
            quantization_type=self._quantization_type(),
            training_rows=values.text(*fields.TRAINING_ROWS),
            template=self._word(*fields.TEMPLATE),
            instruction_columns=values.names(*fields.INSTRUCTION_COLUMNS),
            learn_end_token=values.flag(*fields.LEARN_END_TOKEN),
            draw_anew=values.flag(*fields.DRAW_ANEW),
            group_by_length=values.flag(*fields.GROUP_BY_LENGTH),
            differing=self._differing(),
            differential_privacy=self._privacy(),
            strategy_options=self._strategy_options(),
        )
        self._note_unknown()
        return card

    def states(self, patterns: tuple[str, ...]) -> bool:
        """Whether the file says anything of a field, be it right or wrong."""
        return self._values.states(patterns)

    def static_entry(self) -> Entry | None:
        """Where the static section names its data set."""
        return self._values.entry(*fields.STATIC_DATASET)

    def editable_dataset(self) -> Entry | None:
        """Where the editable part names one."""
        return self._values.entry(*fields.EDITABLE_DATASET)

    def other_static_entries(self) -> list[Entry]:
        """What stands in the static section beside the data set."""
        values = self._values
        datasets = {entry.path for pattern in fields.STATIC_DATASET for entry in values.matching(pattern)}
        return [entry for entry in values.matching(fields.STATIC) if entry.path not in datasets]

    def clients_entry(self) -> Entry | None:
        """The place that decides on the number of SuperNodes: the federation's, else one in the config."""
        listed, default = federations(self.document)
        chosen = _chosen(listed, default)
        if chosen:
            return Entry("num_supernodes", chosen.path, chosen.supernodes)
        return self._values.entry(*fields.CLIENTS)

    def _differing(self) -> str | None:
        """How clients differ and what they send packed, in words; None where the file says nothing of it."""
        said = []
        for words, pattern in fields.DIFFERING.items():
            entry = self._values.entry(pattern)
            if entry is not None and entry.value not in ("", "none", 0):
                said.append(f"{words} {excerpt(str(entry.value), MAX_WORD)}")
        return ", ".join(said) or None

    def _clients(self) -> int | None:
        entry = self.clients_entry()
        clients = None if entry is None else self._values.count_of(entry)
        other = self._values.entry(*fields.CLIENTS)
        if entry and other and clients is not None and other.path != entry.path:
            stated = self._values.count_of(other)
            if stated is not None and stated != clients:
                message = (
                    f"{excerpt(other.path[-1])} is {stated:,} here, but the federation has {clients:,} "
                    "SuperNodes, which is taken. Keep the number that the run had."
                )
                self._values.warn("config.conflict", message, other.path)
        return clients

    def _clients_per_round(self, clients: int | None, fraction: float | None) -> int | None:
        values = self._values
        stated = values.count(*fields.CLIENTS_PER_ROUND)
        entry = values.entry(*fields.MIN_CLIENTS)
        least = None if entry is None else values.count_of(entry, least=0)
        if stated is not None:
            return stated
        if clients is None or fraction is None:
            return None
        sampled = int(clients * fraction)  # as Flower rounds
        if least is None and sampled < FLOWER_MIN_CLIENTS <= clients:
            message = (
                f"This fraction of {clients:,} SuperNodes is {sampled}, but Flower asks at least "
                f"{FLOWER_MIN_CLIENTS} clients a round unless strategy.min-train-nodes says otherwise; "
                f"{FLOWER_MIN_CLIENTS} are assumed."
            )
            place = values.entry(*fields.FRACTION)
            assert place is not None
            values.note("config.minimum_clients", message, place.path)
        return min(clients, max(sampled, FLOWER_MIN_CLIENTS if least is None else least, 1))

    def _strategy(self) -> str | None:
        flags = [
            entry
            for entry in self._values.matching(_FLAG)
            if entry.value != "" and self._values.flag_of(entry)
        ]
        named = self._values.text(*fields.STRATEGY)
        strategies = [canonical(_flagged(entry)) for entry in flags]
        if len(set(strategies)) > 1:
            message = f"{' and '.join(strategies)} are both switched on. Keep the one that the run used."
            self._values.warn("config.conflict", message, flags[1].path)
        if strategies:
            return strategies[0]
        strategy = canonical(named) if named else None
        if named and strategy not in KNOWN:
            entry = self._values.entry(*fields.STRATEGY)
            assert entry is not None
            message = f'The strategy "{excerpt(named)}" is not known here. Describe it with the submission.'
            self._values.note("config.strategy", message, entry.path)
        return strategy

    def _strategy_options(self) -> tuple[tuple[str, Scalar], ...]:
        """Other settings under `strategy`, such as proximal-mu. Call it when all else has been read."""
        ignored = [entry.path for pattern in fields.IGNORED for entry in self._values.matching(pattern)]
        options: dict[str, Scalar] = {}
        for entry in self._values.unknown:
            if len(options) >= MAX_LISTED:
                break
            if entry.path in ignored or not re.fullmatch(fields.STRATEGY_OPTION, entry.key):
                continue
            if not isinstance(entry.value, Scalar):
                continue
            self._values.matching(re.escape(entry.key))
            value = self._values.scalar_of(entry)
            if value is not None and value != "":
                options[entry.key.removeprefix("strategy.")] = value
        return tuple(options.items())

    def _local_training(self) -> tuple[int | None, float | None]:
        """Steps, or epochs where no steps are set; -1 steps is Hugging Face's way to say so."""
        epochs = self._values.number(*fields.LOCAL_EPOCHS)
        entry = self._values.entry(*fields.LOCAL_STEPS)
        if entry is None or entry.value in (-1, 0):
            return None, epochs
        return self._values.count_of(entry), None

    def _learning_rates(self) -> tuple[float | None, float | None]:
        one = self._values.number(*fields.RATE)
        first = self._values.number(*fields.RATE_MAX)
        last = self._values.number(*fields.RATE_MIN)
        return (one, one) if first is None and last is None else (first, last)

    def _peft_type(self) -> str | None:
        named = self._values.text(*fields.PEFT_TYPE)
        return named.upper() if named else None

    def _quantization(self) -> int | None:
        for patterns, bits in ((fields.LOAD_IN_4BIT, 4), (fields.LOAD_IN_8BIT, 8)):
            if self._values.flag(*patterns):
                return bits
        entry = self._values.entry(*fields.QUANTIZATION)
        if entry is None:
            return None
        text = f"{entry.value:g}" if isinstance(entry.value, float) else str(entry.value)
        known = _QUANTIZATION_BITS.get(re.sub(r"[\s_-]", "", text.lower()))
        if known is None:
            self._values.refuse(entry, 'the bits of a weight (4, 8, 16, 32) or "none"')
        return known

    def _quantization_type(self) -> str | None:
        """fp4 or nf4, where it is said, be it as the quantisation itself."""
        named = (self._word(*fields.QUANTIZATION_TYPE), self._word(*fields.QUANTIZATION))
        return next((word for word in named if word in FOUR_BIT), None)

    def _word(self, *patterns: str) -> str | None:
        """A word in lower case; nothing is wrong with a value that is none, and it says nothing here."""
        entry = self._values.entry(*patterns)
        if entry is None or not isinstance(entry.value, str) or not entry.value.isprintable():
            return None
        return entry.value.strip().lower()[:MAX_WORD] or None

    def _privacy(self) -> DifferentialPrivacy | None:
        values = self._values
        used = values.flag(*fields.USE_PRIVACY)
        privacy = DifferentialPrivacy(
            values.number(*fields.NOISE_MULTIPLIER),
            values.number(*fields.CLIPPING_NORM),
            values.number(*fields.EPSILON),
            values.number(*fields.DELTA),
        )
        return privacy if used or (used is None and privacy != DifferentialPrivacy()) else None

    def _note_unknown(self) -> None:
        for pattern in (*fields.IGNORED, *fields.STATIC_DATASET, *fields.EDITABLE_DATASET, fields.STATIC):
            self._values.matching(pattern)
        unknown = self._values.unknown
        if not unknown:
            return
        shown = ", ".join(
            f"{excerpt(self._written(entry), 60)} (line {self.document.line(entry.path)})"
            for entry in unknown[:MAX_LISTED]
        )
        more = f" and {len(unknown) - MAX_LISTED:,} more" if len(unknown) > MAX_LISTED else ""
        message = f"Not known here, and kept in the file only: {shown}{more}."
        self._values.note("config.unknown_keys", message, unknown[0].path)

    def _written(self, entry: Entry) -> str:
        """The key as it stands in the file, from [tool.flwr.app.config] on."""
        return ".".join(entry.path[len(self.layout.app) + 1 :])


def _flagged(entry: Entry) -> str:
    match = re.fullmatch(_FLAG, entry.key)
    assert match is not None
    return match["name"]


def _chosen(listed: tuple[Federation, ...], default: str | None) -> Federation | None:
    """The default federation, else the first that says how many SuperNodes it has."""
    named = (federation for federation in listed if federation.name == default)
    return next(named, listed[0] if listed else None)
