"""Checks a bundle step by step, against what the reader holds: keys, an earlier head, an adapter, answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from evaluation.backports import StrEnum
from evaluation.statements.bundle import Bundle, Consistency
from evaluation.statements.errors import StatementError
from evaluation.statements.keys import KeySet
from evaluation.statements.merkle import is_consistent, is_included, leaf_hash
from evaluation.statements.statement import EVALUATION, PAYLOAD_TYPE, Statement
from evaluation.statements.tree_head import TreeHead


class Outcome(StrEnum):
    PROVED = "proved"
    FAILED = "failed"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True)
class Check:
    """One thing that was or was not checked, and what came of it in a sentence."""

    name: str
    outcome: Outcome
    text: str


@dataclass(frozen=True)
class EarlierHead:
    """A head of the log that the reader kept, and a proof, if any, that the bundle's is of its history."""

    head: TreeHead
    proof: tuple[bytes, ...] | None = None


@dataclass(frozen=True)
class Held:
    """What the reader has beside the bundle. `keys` are trusted for a reason of their own; None are the
    bundle's. `adapter` is a file's SHA-256, `answers` are digests by the name of the file."""

    keys: KeySet | None = None
    earlier: EarlierHead | None = None
    adapter: str | None = None
    answers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    statement: Statement
    head: TreeHead
    checks: tuple[Check, ...]

    @property
    def failed(self) -> frozenset[str]:
        """The names of the checks that failed."""
        return frozenset(check.name for check in self.checks if check.outcome is Outcome.FAILED)


def verify(bundle: Bundle, held: Held) -> Report:
    """All checks. Raises StatementError where the bundle is not of the form to be checked at all."""
    statement = Statement.read(bundle.statement.of_type(PAYLOAD_TYPE))
    if statement.predicate_type != EVALUATION:
        raise StatementError(f"The statement is {statement.predicate_type}, not the result of an evaluation.")
    head = TreeHead.read(bundle.head)
    keys = held.keys or bundle.keys
    is_trusted = held.keys is not None
    checks = (
        _vouched(_signature(bundle, statement, keys), is_trusted),
        _vouched(_head(bundle, head, keys), is_trusted),
        _site(statement, head, keys),
        _inclusion(bundle, head),
        _consistency(head, held.earlier, bundle.consistency),
        _adapter(statement, held.adapter),
        *_answers(statement, held.answers),
    )
    return Report(statement, head, checks)


def _check(name: str, holds: bool, proved: str, failed: str) -> Check:
    return Check(name, Outcome.PROVED if holds else Outcome.FAILED, proved if holds else failed)


def _vouched(check: Check, is_trusted: bool) -> Check:
    """A signature by a key that came along with what it signed proves nothing."""
    if is_trusted or check.outcome is Outcome.FAILED:
        return check
    return Check(check.name, Outcome.NOT_CHECKED, f"{check.text} That key came along with it.")


def _signature(bundle: Bundle, statement: Statement, keys: KeySet) -> Check:
    signer = keys.signer(bundle.statement, statement.stated_at)
    return _check(
        "signature",
        signer is not None,
        f"The statement is as key {signer.kid if signer else ''} signed it.",
        "No known key that was in use when it was stated signed the statement as it stands here.",
    )


def _head(bundle: Bundle, head: TreeHead, keys: KeySet) -> Check:
    signer = keys.signer(bundle.head, head.time)
    return _check(
        "log head",
        signer is not None,
        f"The log's head of {_when(head)} is as key {signer.kid if signer else ''} signed it.",
        "No known key that was in use at its time signed the log's head as it stands here.",
    )


def _site(statement: Statement, head: TreeHead, keys: KeySet) -> Check:
    return _check(
        "site",
        statement.site == head.log == keys.log,
        f"Statement, log and keys are those of {head.log}.",
        f"The statement is of {statement.site}, the log of {head.log}, the keys of {keys.log}.",
    )


def _inclusion(bundle: Bundle, head: TreeHead) -> Check:
    leaf = leaf_hash(bundle.statement.to_bytes())
    return _check(
        "inclusion",
        is_included(leaf, bundle.leaf, head.size, bundle.inclusion, head.root),
        f"The statement is leaf {bundle.leaf} of the {head.size} under that head.",
        f"The statement is not leaf {bundle.leaf} of the {head.size} under that head.",
    )


def _consistency(head: TreeHead, earlier: EarlierHead | None, brought: Consistency | None) -> Check:
    name = "consistency"
    if earlier is None:
        return Check(name, Outcome.NOT_CHECKED, "No earlier head of this log is kept here to compare with.")
    old = earlier.head
    kept = f"the head of {old.size} leaves kept from {_when(old)}"
    if head.size == old.size:
        return _check(name, head.root == old.root, f"It has the root of {kept}.", f"It contradicts {kept}.")
    proof = earlier.proof
    if proof is None and brought is not None and brought.size == old.size < head.size:
        proof = brought.hashes
    if proof is None:
        text = f"There is no proof here that it and {kept} are of one history."
        asked = f" The statement's address with ?since={old.size} gives one." if old.size < head.size else ""
        return Check(name, Outcome.NOT_CHECKED, text + asked)
    small, large = sorted((old, head), key=lambda one: one.size)
    return _check(
        name,
        is_consistent(small.size, large.size, proof, small.root, large.root),
        f"It and {kept} are of one history: nothing was changed or removed between them.",
        f"It and {kept} are not of one history: what was in the log was changed or removed.",
    )


def _when(head: TreeHead) -> str:
    return f"{head.time:%Y-%m-%d %H:%M:%S} UTC"


def _adapter(statement: Statement, sha256: str | None) -> Check:
    if sha256 is None:
        return Check("adapter", Outcome.NOT_CHECKED, "No adapter was given to compare with.")
    evaluated = statement.adapter or "none"
    return _check(
        "adapter",
        evaluated == sha256,
        "The adapter here is the one that was evaluated.",
        f"The adapter here ({sha256[:12]}…) is not the one that was evaluated ({evaluated[:12]}…).",
    )


def _answers(statement: Statement, given: Mapping[str, str]) -> list[Check]:
    if not given:
        return [Check("answers", Outcome.NOT_CHECKED, "No answers were given to compare with.")]
    stated = statement.answers
    checks = []
    for name, digest in given.items():
        found = [benchmark for benchmark, answers in stated.items() if answers == digest]
        checks.append(
            _check(
                "answers",
                bool(found),
                f"{name} has the verdicts on {' and '.join(found)} that the score was counted from.",
                f"{name} has other verdicts than any score of the statement was counted from.",
            )
        )
    return checks
