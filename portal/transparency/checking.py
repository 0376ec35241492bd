"""Holds the log against itself, and against the rows that it speaks of. Reads everything, changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import transaction

from evaluation.statements.envelope import Envelope
from evaluation.statements.errors import StatementError
from evaluation.statements.fields import document
from evaluation.statements.keys import KeySet
from evaluation.statements.merkle import EMPTY_ROOT, Frontier, Node, leaf_hash
from evaluation.statements.statement import PAYLOAD_TYPE, Statement
from evaluation.statements.tree_head import TreeHead
from portal.transparency import keys, stating, tree
from portal.transparency.models import Head, Leaf, TreeNode

_PART = 1000


@transaction.atomic
def problems(against: Envelope | None = None) -> list[str]:
    """What is wrong, in sentences; nothing where all is as it was written. Nothing is logged meanwhile.

    `against` is a head kept elsewhere: nothing else tells of a log that was rewritten as a whole. Raises
    StatementError where it is none.
    """
    keys.lock()
    return list(_problems(against))


def _problems(against: Envelope | None) -> Iterator[str]:
    known = keys.key_set()
    outside = TreeHead.read(against) if against else None
    if against and outside and known.signer(against, outside.time) is None:
        yield f"The head of {outside.size} leaves that was kept elsewhere is signed by no key of this site."
    roots: dict[int, bytes] = {0: EMPTY_ROOT}
    wanted = set(Head.objects.values_list("size", flat=True)) | ({outside.size} if outside else set())
    frontier = Frontier()
    right = 0
    for part in _parts(Leaf.objects.order_by("index").iterator(_PART)):
        nodes: dict[Node, bytes] = {}
        for leaf in part:
            if leaf.index != frontier.size:
                yield f"Leaf {frontier.size} is missing: leaf {leaf.index} follows."
            hashed = leaf_hash(leaf.body.encode())
            if bytes(leaf.leaf_hash) != hashed:
                yield f"Leaf {leaf.index} has another hash than its body."
            frontier, completed = frontier.append(hashed)
            nodes |= dict(completed)
            if frontier.size in wanted:
                roots[frontier.size] = frontier.root
        stored = tree.read(list(nodes))
        right += sum(stored.get(node) == one for node, one in nodes.items())
    expected = frontier.size - frontier.size.bit_count()
    if wrong := max(expected, TreeNode.objects.count()) - right:
        yield f"{wrong} stored nodes of the tree do not follow from the leaves."
    yield from _wrong_heads(known, roots, frontier.size)
    if outside and roots.get(outside.size) != outside.root:
        yield f"The log does not continue the head of {outside.size} leaves that was kept elsewhere."
    yield from _wrong_statements(known)


def waiting() -> int:
    """How much is public and not in the log yet, which is no fault for a minute."""
    due = (stating.unstated_evaluations(), stating.unstated_acts(), stating.unstated_audits())
    return sum(rows.count() for rows in due)


def _wrong_heads(known: KeySet, roots: dict[int, bytes], size: int) -> Iterator[str]:
    last = None
    for row in Head.objects.order_by("size").iterator(_PART):
        last = row.size
        try:
            envelope = Envelope.read(row.envelope)
            head = TreeHead.read(envelope)
        except StatementError as error:
            yield f"The head of {row.size} leaves cannot be read: {error}"
            continue
        if (head.size, head.root) != (row.size, bytes(row.root)) or known.signer(envelope, head.time) is None:
            yield f"The head of {row.size} leaves is not as a key of this site signed it."
        if roots.get(row.size) != head.root:
            yield f"The head of {row.size} leaves does not follow from the leaves."
    if (last or 0) != size:
        yield f"The log has {size} leaves, its last head {last or 0}."


def _wrong_statements(known: KeySet) -> Iterator[str]:
    """Leaves whose signature does not hold, or which say another thing than the rows of today."""
    for name, rows, state in (
        ("evaluation_id", stating.evaluations(), stating.statement_of_evaluation),
        ("event", stating.acts(), stating.statement_of_act),
        ("audit_id", stating.audits(), stating.statement_of_audit),
    ):
        for part in _parts(Leaf.objects.filter(**{f"{name}__isnull": False}).iterator(_PART)):
            found = rows.in_bulk([getattr(leaf, name) for leaf in part])
            for leaf in part:
                yield from _wrong_statement(leaf, known, found.get(getattr(leaf, name)), state)


def _wrong_statement(leaf: Leaf, known: KeySet, row: Any, state: Any) -> Iterator[str]:
    try:
        envelope = Envelope.read(document(leaf.body, "It"))
        statement = Statement.read(envelope.of_type(PAYLOAD_TYPE))
        stated_at, site = statement.stated_at, statement.site
    except StatementError as error:
        yield f"Leaf {leaf.index} cannot be read: {error}"
        return
    if known.signer(envelope, stated_at) is None:
        yield f"Leaf {leaf.index} is not as a key of this site signed it."
    if row is None:
        yield f"Leaf {leaf.index} states what the database no longer has, of entry {leaf.submission_id}."
        return
    expected: Statement = state(row, site=site, stated_at=stated_at)
    if expected.to_bytes() != envelope.payload:
        changed = ", ".join(_changed(statement, expected)) or "its subjects"
        yield f"Entry {leaf.submission_id} is not as leaf {leaf.index} stated it: {changed} changed."


def _changed(stated: Statement, now: Statement) -> Iterator[str]:
    names = stated.predicate.keys() | now.predicate.keys()
    # Read back, so that numbers compare as they are written.
    fresh = Statement.read(now.to_bytes()).predicate
    yield from sorted(name for name in names if stated.predicate.get(name) != fresh.get(name))


def _parts(leaves: Iterator[Leaf]) -> Iterator[list[Leaf]]:
    part: list[Leaf] = []
    for leaf in leaves:
        part.append(leaf)
        if len(part) == _PART:
            yield part
            part = []
    if part:
        yield part
