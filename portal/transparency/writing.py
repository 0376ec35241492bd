"""Writes the log: what became public and is not in it yet, each thing once, whoever asks and how often."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from evaluation.statements.merkle import Frontier, leaf_hash
from evaluation.statements.statement import PAYLOAD_TYPE, Statement
from evaluation.statements.tree_head import HEAD_TYPE, TreeHead
from portal.transparency import keys, stating, tree
from portal.transparency.models import Head, Leaf, TreeNode

BATCH = 500
"""So many leaves at most come under one head, in one transaction."""


def write_due() -> int:
    """Append all that is due; returns how much that was. Raises SealedKeyError."""
    written = 0
    while batch := _write_batch():
        written += batch
    return written


@dataclass(frozen=True)
class _Due:
    """What a leaf states, and the row that it is of."""

    statement: Statement
    submission: int
    evaluation: int | None = None
    event: int | None = None
    audit: int | None = None


@transaction.atomic
def _write_batch() -> int:
    keys.lock()
    signer = keys.signer()
    now = timezone.now()  # after the key's first moment, and under the lock before its last
    due = list(_due(now))
    if not due:
        return 0
    size = Leaf.objects.order_by("-index").values_list("index", flat=True).first()
    frontier = Frontier.of(0 if size is None else size + 1, tree.read)
    leaves, nodes = [], []
    for one in due:
        body = signer.sign(PAYLOAD_TYPE, one.statement.to_bytes()).to_bytes()
        hashed = leaf_hash(body)
        leaves.append(
            Leaf(
                index=frontier.size,
                submission_id=one.submission,
                evaluation_id=one.evaluation,
                event=one.event,
                audit_id=one.audit,
                body=body.decode(),
                leaf_hash=hashed,
                created_at=now,
            )
        )
        frontier, completed = frontier.append(hashed)
        nodes += [TreeNode(level=level, index=index, hash=node) for (level, index), node in completed]
    Leaf.objects.bulk_create(leaves)
    TreeNode.objects.bulk_create(nodes)
    head = TreeHead(settings.SITE_URL, frontier.size, frontier.root, now)
    envelope = signer.sign(HEAD_TYPE, head.to_bytes())
    Head.objects.create(size=head.size, root=head.root, envelope=envelope.to_json(), created_at=now)
    return len(leaves)


def _due(now: datetime) -> Iterator[_Due]:
    site = settings.SITE_URL
    for evaluation in stating.unstated_evaluations()[:BATCH]:
        statement = stating.statement_of_evaluation(evaluation, site=site, stated_at=now)
        yield _Due(statement, evaluation.submission_id, evaluation=evaluation.pk)
    for event in stating.unstated_acts()[:BATCH]:
        statement = stating.statement_of_act(event, site=site, stated_at=now)
        yield _Due(statement, event.pgh_obj_id, event=event.pk)
    for audit in stating.unstated_audits()[:BATCH]:
        statement = stating.statement_of_audit(audit, site=site, stated_at=now)
        yield _Due(statement, audit.submission_id, audit=audit.pk)
