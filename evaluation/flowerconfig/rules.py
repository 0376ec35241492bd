"""A configuration against its challenge's rules (arXiv 2506.02961): what may not be changed, and limits."""

from __future__ import annotations

from collections.abc import Iterable

from evaluation.findings import FindingCollector, excerpt
from evaluation.flowerconfig import fields
from evaluation.flowerconfig.layouts import Entry
from evaluation.flowerconfig.reader import MethodReader
from evaluation.method.card import MethodCard
from evaluation.rules import Rules
from evaluation.rules.challenges import CHALLENGES, Challenge


def check_rules(rules: Rules, card: MethodCard, reader: MethodReader, findings: FindingCollector) -> None:
    """Report every rule of the challenge that the configuration breaks or leaves open."""
    check = _RuleCheck(rules, card, reader, findings)
    check.static_section()
    check.supernodes()
    check.completeness()


def challenge_of(training_set: str) -> Challenge | None:
    """The challenge that trains on the data set, None when none does."""
    return next(
        (
            challenge
            for challenge in CHALLENGES.values()
            if _is_one_of(training_set, (*challenge.training_sets, *challenge.former_training_sets))
        ),
        None,
    )


class _RuleCheck:
    def __init__(
        self, rules: Rules, card: MethodCard, reader: MethodReader, findings: FindingCollector
    ) -> None:
        self._rules = rules
        self._title = rules.challenge.title
        self._card = card
        self._reader = reader
        self._document = reader.document
        self._layout = reader.layout
        self._findings = findings

    def static_section(self) -> None:
        """The static section names one of the challenge's training sets and nothing else."""
        entry = self._reader.static_entry()
        editable = self._reader.editable_dataset()
        header = f"[{'.'.join((*self._layout.app, 'config', 'static'))}]"
        wanted = self._rules.training_sets[0]
        if entry is None:
            there = self._layout.has_static_table
            what = f"{header} names no data set" if there else f"There is no section {header}"
            where = f"; {_key(editable)} stands in the part that may be edited" if editable else ""
            message = f'{what}{where}. Keep the template\'s section: dataset.name = "{wanted}".'
            self._findings.error("config.static_missing", message, self._place(editable))
        elif self._card.static_dataset is not None:
            self._static_dataset(self._card.static_dataset, entry)
        if entry and editable and not _same_text(entry.value, editable.value):
            message = (
                f"{_key(editable)} names another data set than the static section. "
                "Say on which one the run trained, and remove the other."
            )
            self._findings.warning("config.conflict", message, self._place(editable))
        for other in self._reader.other_static_entries():
            message = f"{_key(other)} was added to the static section. Move it to the editable part."
            self._findings.warning("config.static_extra", message, self._place(other))

    def _static_dataset(self, dataset: str, entry: Entry) -> None:
        allowed = self._rules.training_sets
        if _is_one_of(dataset, allowed):
            return
        if _is_one_of(dataset, self._rules.former_training_sets):
            message = (
                f'"{excerpt(dataset)}" holds the same rows as "{allowed[0]}", as today\'s template names it.'
            )
            self._findings.note("config.static_dataset", message, self._place(entry))
            return
        other = challenge_of(dataset)
        hint = (
            f"That is the data set of {other.title}; choose that challenge."
            if other
            else f'The section may not be changed; train on "{allowed[0]}".'
        )
        message = f'The static data set of {self._title} was replaced by "{excerpt(dataset)}". {hint}'
        self._findings.error("config.static_dataset", message, self._place(entry))

    def supernodes(self) -> None:
        """As many SuperNodes as the challenge has clients; a file of today's template does not say."""
        needed, title = self._rules.clients, self._title
        entry = self._reader.clients_entry()
        if entry is None:
            message = (
                f"The file gives no number of SuperNodes (newer Flower keeps it outside the app); {needed}, "
                f"as {title} needs, are assumed."
            )
            self._findings.note("config.supernodes_assumed", message, self._document.name)
        elif self._card.clients is not None and self._card.clients != needed:
            message = f"The run has {self._card.clients:,} SuperNodes; train with {needed}, as {title} needs."
            self._findings.error("config.supernodes", message, self._place(entry))

    def completeness(self) -> None:
        """What readers of the board and the derived communication need is in the file."""
        sampled = (*fields.FRACTION, *fields.CLIENTS_PER_ROUND)
        needed = (
            ("the base model (model.name)", fields.BASE_MODEL),
            ("the number of rounds (num-server-rounds)", fields.ROUNDS),
            ("the share of clients a round (strategy.fraction-train)", sampled),
            ("the rank (model.lora.peft-lora-r)", fields.RANK),
        )
        missing = [what for what, patterns in needed if not self._reader.states(patterns)]
        if missing:
            message = f"The configuration does not say {', '.join(missing)}. Add it as the run had it."
            self._findings.warning(
                "config.missing", message, self._document.place((*self._layout.app, "config"))
            )

    def _place(self, entry: Entry | None) -> str:
        return self._document.place(entry.path) if entry else self._document.name


def _is_one_of(name: str, names: Iterable[str]) -> bool:
    return name.casefold() in {each.casefold() for each in names}


def _key(entry: Entry) -> str:
    return excerpt(entry.key, 80)


def _same_text(one: object, other: object) -> bool:
    both = isinstance(one, str) and isinstance(other, str)
    return both and str(one).strip().casefold() == str(other).strip().casefold()
