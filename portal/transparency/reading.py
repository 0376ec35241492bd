"""Reads the log: its head, its leaves, proofs, and the bundle by which a statement is checked."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import Case, OuterRef, QuerySet, Subquery, When

from evaluation.statements import merkle
from evaluation.statements.bundle import Bundle, Consistency
from evaluation.statements.envelope import Envelope
from evaluation.statements.fields import document, encoded
from evaluation.statements.tree_head import TreeHead
from portal.submissions.models import Submission
from portal.transparency import keys, tree
from portal.transparency.models import Head, Leaf


class NotInLogError(LookupError):
    """The log has no such leaf, or never had that size; the text says so to a reader."""


def current_head() -> Head | None:
    """None while the log is empty."""
    return Head.objects.order_by("-size").first()


def read_head(head: Head) -> TreeHead:
    """What its envelope says."""
    return TreeHead.read(Envelope.read(head.envelope))


def head_in_words(head: Head) -> str:
    """Size and root in one text, as exports and feeds name a head."""
    return f"{head.size} {encoded(bytes(head.root))}"


def leaves(start: int, limit: int) -> QuerySet[Leaf]:
    """The leaves from one on, with their submission's status."""
    return Leaf.objects.filter(index__gte=start, index__lt=start + limit).select_related("submission")


def is_withheld(leaf: Leaf) -> bool:
    """Whether a leaf is told by its hash alone: the result of an entry that its team took back."""
    return leaf.evaluation_id is not None and leaf.submission.status == Submission.Status.WITHDRAWN


def inclusion(leaf: int, size: int | None = None) -> tuple[int, list[bytes]]:
    """The size asked for, else the newest, and the proof. Raises NotInLogError."""
    whole = _size_now()
    chosen = whole if size is None else size
    if not 0 <= leaf < chosen <= whole:
        raise NotInLogError(f"The log has {whole} leaves: there is no leaf {leaf} among {chosen}.")
    return chosen, merkle.inclusion_proof(leaf, chosen, tree.read)


def consistency(first: int, second: int | None = None) -> tuple[int, list[bytes]]:
    """The second size, by default the newest, and the proof. Raises NotInLogError."""
    whole = _size_now()
    chosen = whole if second is None else second
    if not 0 < first <= chosen <= whole:
        raise NotInLogError(f"The log has {whole} leaves: there is no way from {first} to {chosen}.")
    return chosen, merkle.consistency_proof(first, chosen, tree.read)


def statement_leaf(submission: int, protocol: int | None = None) -> Leaf | None:
    """The leaf of the entry's newest evaluation under a protocol: the site's own, if none is asked for, else
    the newest. None where there is none, or not yet."""
    found = Leaf.objects.filter(submission=submission, evaluation__isnull=False)
    if protocol is not None:
        found = found.filter(evaluation__protocol=protocol)
    others_last = Case(When(evaluation__protocol=settings.LEADERBOARD_PROTOCOLS[0], then=0), default=1)
    return found.order_by(
        others_last, "-evaluation__protocol", "-evaluation__finished_at", "-evaluation"
    ).first()


def bundle_of(leaf: Leaf, since: int | None = None) -> dict[str, Any]:
    """All that the leaf's statement is checked with, in one document; with the proof that the log goes on
    from what it was with `since` leaves, if that is asked for. Raises NotInLogError."""
    head = current_head()
    assert head is not None  # every leaf came with one
    made = Bundle(
        Envelope.read(document(leaf.body, "The leaf")),
        leaf.index,
        tuple(merkle.inclusion_proof(leaf.index, head.size, tree.read)),
        Envelope.read(head.envelope),
        keys.key_set(),
        Consistency(since, tuple(consistency(since, head.size)[1])) if since else None,
    )
    return made.to_json()


@dataclass(frozen=True)
class Logged:
    """Where an entry's statement is: its leaf, and the first head over it in words."""

    leaf: int
    head: str


def logged(submissions: Collection[int], protocol: int) -> dict[int, Logged]:
    """By entry: its newest statement under a protocol, with the head that came with it."""
    first = Head.objects.filter(size__gt=OuterRef("index")).order_by("size")
    rows = (
        Leaf.objects.filter(submission__in=submissions, evaluation__protocol=protocol)
        .order_by("submission_id", "-index")
        .distinct("submission_id")
        .annotate(size=Subquery(first.values("size")[:1]), root=Subquery(first.values("root")[:1]))
        .values_list("submission_id", "index", "size", "root")
    )
    return {entry: Logged(leaf, f"{size} {encoded(bytes(root))}") for entry, leaf, size, root in rows}


def _size_now() -> int:
    head = current_head()
    return head.size if head else 0
