"""Which of the communication logs in a folder is that of the run whose adapter is there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.findings import Finding, FindingCollector
from evaluation.inspection.communication_log import MAX_SIZE, CommunicationLog, parse_communication_log
from evaluation.inspection.material import LogFile
from evaluation.method.card import MethodCard
from evaluation.method.communication import DIRECTIONS, RELATIVE_TOLERANCE, Communication, size_text

_ROUND = re.compile(r"(?:^|[^a-z])(?:r|rounds?|peft)[_-]?(?P<round>\d{1,6})(?!\d)", re.IGNORECASE)
Answer = tuple[CommunicationLog | None, Sequence[Finding]]


@dataclass(frozen=True)
class _Read:
    """A log that was read, and what was found in it."""

    log: CommunicationLog
    findings: tuple[Finding, ...]


def choose_log(
    files: Sequence[LogFile],
    card: MethodCard | None,
    derived: Communication | None,
    checkpoint_round: int | None,
) -> Answer:
    """The log of the run, and what was found in it; of several the one that fits rounds and checkpoint.

    Without one that fits, or with several, none is taken and a warning asks which is meant.
    """
    read: list[_Read] = []
    refused: list[tuple[Finding, ...]] = []
    for each in files:
        log, findings = parse_communication_log(each.file.content(MAX_SIZE), name=each.file.name)
        if log is not None and (each.is_meant or log.messages):
            read.append(_Read(log, findings))
        elif log is None and each.is_meant:
            refused.append(findings)
    if not read:
        return None, [finding for findings in refused for finding in findings]
    if len(read) == 1:
        return read[0].log, read[0].findings
    rounds = checkpoint_round if checkpoint_round is not None else card.rounds if card else None
    fitting = [each for each in read if _fits(each.log, rounds, derived)]
    shown = ", ".join(f"{each.log.name} ({size_text(each.log.total_bytes)})" for each in read[:5])
    collector = FindingCollector()
    if len(fitting) == 1:
        chosen = fitting[0]
        message = (
            f"{len(read):,} communication logs are here: {shown}. {chosen.log.name} is taken, which fits "
            "the rounds of the run. Give --log FILE to choose another."
        )
        collector.note("app.several_logs", message, chosen.log.name)
        return chosen.log, [*collector.collected(), *chosen.findings]
    which = "none of them fits" if not fitting else "more than one fits"
    message = (
        f"{len(read):,} communication logs are here: {shown}; {which} the run, so none is taken. Give --log "
        "FILE."
    )
    collector.warning("app.several_logs", message)
    return None, collector.collected()


def _fits(log: CommunicationLog, rounds: int | None, derived: Communication | None) -> bool:
    """Whether a log is of the run: by the rounds in its name, else by those in it or its total."""
    if rounds is not None and (named := _ROUND.search(log.name.rpartition("/")[2])):
        return int(named["round"]) == rounds
    if rounds is not None and len(log.messages) == DIRECTIONS * rounds:
        return True
    return derived is not None and abs(log.total_bytes - derived.total_bytes) <= (
        RELATIVE_TOLERANCE * derived.total_bytes
    )
