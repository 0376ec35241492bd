"""The signing keys, and the log: its leaves, the nodes of its tree, its heads. All of it only grows."""

from __future__ import annotations

import pgtrigger
from django.db import models
from django.db.models import Q
from django.utils import timezone

from portal.review.models import Audit
from portal.runs.models import Evaluation
from portal.submissions.models import Submission

_NEVER = pgtrigger.Update | pgtrigger.Delete


class SigningKey(models.Model):
    """An Ed25519 key of the site. Its private half, sealed with SECRET_KEY, goes when the next one comes."""

    algorithm = models.CharField(max_length=10, default="Ed25519", editable=False)
    kid = models.CharField(max_length=43, unique=True, help_text="Its thumbprint (RFC 7638)")
    public = models.BinaryField(help_text="32 bytes")
    sealed = models.TextField(blank=True, help_text="The private half, encrypted")
    endorsement = models.JSONField(null=True, help_text="In which the key before it vouches for this one")
    created_at = models.DateTimeField(default=timezone.now)
    retired_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["algorithm"], condition=Q(retired_at=None), name="signing_key_one_in_use"
            ),
            models.CheckConstraint(
                condition=Q(retired_at=None) | Q(sealed=""), name="signing_key_retired_is_gone"
            ),
        ]
        triggers = [
            pgtrigger.ReadOnly(
                name="signing_key_identity",
                fields=["algorithm", "kid", "public", "endorsement", "created_at"],
            ),
            pgtrigger.Protect(
                name="signing_key_retired",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__retired_at__isnull=False),
            ),
            pgtrigger.Protect(name="signing_key_stays", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return self.kid


class Leaf(models.Model):
    """A signed statement in the log: of an evaluation, of what became of a submission in public, or of
    what an audit showed."""

    index = models.PositiveBigIntegerField(primary_key=True, help_text="Its place, from 0 without a gap")
    submission = models.ForeignKey(Submission, on_delete=models.PROTECT, related_name="leaves")
    evaluation = models.OneToOneField(
        Evaluation,
        null=True,
        on_delete=models.PROTECT,
        related_name="leaf",
        help_text="Whose result it states",
    )
    event = models.PositiveBigIntegerField(
        null=True, unique=True, help_text="The step of the submission that it states"
    )
    audit = models.OneToOneField(
        Audit, null=True, on_delete=models.PROTECT, related_name="leaf", help_text="Whose outcome it states"
    )
    body = models.TextField(help_text="The envelope as canonical JSON: the bytes of the leaf")
    leaf_hash = models.BinaryField(help_text="SHA-256 of a zero byte and the body")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["index"]
        constraints = [
            models.CheckConstraint(
                condition=Q(evaluation__isnull=False, event=None, audit=None)
                | Q(evaluation=None, event__isnull=False, audit=None)
                | Q(evaluation=None, event=None, audit__isnull=False),
                name="leaf_states_one_thing",
            ),
        ]
        triggers = [
            pgtrigger.Protect(name="leaf_append_only", operation=_NEVER),
            pgtrigger.Trigger(
                name="leaf_comes_next",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                declare=[("next_index", "BIGINT")],
                # Planned anew each time: a plan kept from when the table was small would read all of it.
                func="""
                    EXECUTE 'SELECT COALESCE(MAX(index) + 1, 0) FROM transparency_leaf' INTO next_index;
                    IF NEW.index <> next_index THEN
                        RAISE EXCEPTION 'Leaf % does not come next in the log', NEW.index;
                    END IF;
                    IF NEW.leaf_hash <> sha256('\\x00'::bytea || convert_to(NEW.body, 'UTF8')) THEN
                        RAISE EXCEPTION 'Leaf % does not have the hash of its body', NEW.index;
                    END IF;
                    RETURN NEW;
                """,
            ),
        ]

    def __str__(self) -> str:
        return f"leaf {self.index}"


class TreeNode(models.Model):
    """The root of the perfect subtree over the leaves from index·2^level on; leaves are no nodes."""

    pk = models.CompositePrimaryKey("level", "index")
    level = models.PositiveSmallIntegerField()
    index = models.PositiveBigIntegerField()
    hash = models.BinaryField()

    class Meta:
        triggers = [pgtrigger.Protect(name="tree_node_append_only", operation=_NEVER)]

    def __str__(self) -> str:
        return f"node {self.level}, {self.index}"


class Head(models.Model):
    """The log's size and root at a time, signed."""

    size = models.PositiveBigIntegerField(primary_key=True)
    root = models.BinaryField()
    envelope = models.JSONField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["size"]
        triggers = [
            pgtrigger.Protect(name="head_append_only", operation=_NEVER),
            pgtrigger.Trigger(
                name="head_of_the_whole_log",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                func="""
                    IF NEW.size <> (SELECT COALESCE(MAX(index) + 1, 0) FROM transparency_leaf) THEN
                        RAISE EXCEPTION 'A head of % leaves is not that of the log', NEW.size;
                    END IF;
                    RETURN NEW;
                """,
            ),
        ]

    def __str__(self) -> str:
        return f"head of {self.size}"
