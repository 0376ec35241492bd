"""What reviewers decided and why, what a second one said to it, and what decisions leave behind."""

from __future__ import annotations

from datetime import timedelta

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone

from portal.review.models import conditions
from portal.submissions.models import Submission

UNDO_SPAN = timedelta(minutes=15)
"""So long a decision without public effect can be undone, if nobody acted on it."""

_SPAN = f"interval '{int(UNDO_SPAN.total_seconds())} seconds'"


class DecisionQuerySet(models.QuerySet["Decision"]):
    def pending(self) -> DecisionQuerySet:
        """Those that wait for a second reviewer."""
        undone = Exists(Decision.objects.filter(undoes=OuterRef("pk")))
        return self.filter(~undone, proposed=True, confirmation=None)

    def in_effect(self) -> DecisionQuerySet:
        """Those that were carried out, at once or when a second reviewer agreed, though undone since."""
        return self.filter(Q(proposed=False) | Q(confirmation__agreed=True))


class Decision(models.Model):
    """A reviewer's act on a submission. The record is append-only: an undo is a decision of its own.

    One that is `proposed` takes effect when another reviewer agrees (Confirmation). What an act means, and
    from which states it is possible, portal.review.acts says.
    """

    class Action(models.TextChoices):
        PUBLISH = "publish", "publish"
        CHANGES = "changes", "ask for changes"
        REJECT = "reject", "reject"
        REOPEN = "reopen", "take back the rejection"
        RERUN = "rerun", "evaluate again"
        RETRAIN = "retrain", "retrain"
        HOLD = "hold", "hold"
        RELEASE = "release", "release"
        DISQUALIFY = "disqualify", "disqualify"
        REINSTATE = "reinstate", "reinstate"
        UNDO = "undo", "undo"

    NEEDS_REASON = (Action.CHANGES, Action.REJECT, Action.HOLD, Action.DISQUALIFY, Action.REINSTATE)
    UNDOABLE = (Action.CHANGES, Action.REJECT, Action.REOPEN, Action.HOLD, Action.RELEASE)

    submission = models.ForeignKey(Submission, on_delete=models.PROTECT, related_name="decisions")
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="decisions")
    action = models.CharField(max_length=10, choices=Action.choices)
    reason = models.TextField(blank=True)
    proposed = models.BooleanField(default=False, help_text="Takes effect once a second reviewer agrees")
    undoes = models.OneToOneField("self", null=True, on_delete=models.PROTECT, related_name="undone_by")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = DecisionQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        permissions = [("decide", "Can decide on submissions")]
        constraints = [
            models.CheckConstraint(
                condition=~Q(action__in=["changes", "reject", "hold", "disqualify", "reinstate"])
                | ~Q(reason=""),
                name="decision_refusal_has_reason",
            ),
            models.CheckConstraint(
                condition=Q(action="undo", undoes__isnull=False) | (~Q(action="undo") & Q(undoes=None)),
                name="decision_undo_names_another",
            ),
        ]
        triggers = [
            pgtrigger.Protect(name="decision_append_only", operation=pgtrigger.Update | pgtrigger.Delete),
            pgtrigger.Trigger(
                name="decision_by_the_rules",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                func=f"""
                    IF NOT {conditions.is_now("NEW.created_at")} THEN
                        RAISE EXCEPTION 'A decision is dated when it is taken';
                    END IF;
                    IF NOT {conditions.is_reviewer("NEW.reviewer_id")} THEN
                        RAISE EXCEPTION 'Only a reviewer decides';
                    END IF;
                    IF {conditions.is_conflicted("NEW.reviewer_id", "NEW.submission_id")} THEN
                        RAISE EXCEPTION 'Nobody decides on an entry of the own team';
                    END IF;
                    IF NOT {conditions.holds_claim("NEW.reviewer_id", "NEW.submission_id")} THEN
                        RAISE EXCEPTION 'A case is claimed before it is decided';
                    END IF;
                    IF {conditions.open_proposal("NEW.submission_id", but="NEW.undoes_id")} THEN
                        RAISE EXCEPTION 'A decision waits for a second reviewer';
                    END IF;
                    IF NEW.action NOT IN ('release', 'undo')
                        AND {conditions.on_hold("NEW.submission_id")}
                    THEN
                        RAISE EXCEPTION 'The case is on hold';
                    END IF;
                    IF NOT NEW.proposed
                        AND {conditions.needs_second("NEW.action", "NEW.submission_id", "NEW.reviewer_id")}
                    THEN
                        RAISE EXCEPTION 'The decision needs a second reviewer';
                    END IF;
                    IF NEW.undoes_id IS NOT NULL AND NOT EXISTS (
                        SELECT 1 FROM review_decision d
                        WHERE d.id = NEW.undoes_id AND d.submission_id = NEW.submission_id AND (
                            d.proposed AND d.reviewer_id = NEW.reviewer_id AND NOT EXISTS (
                                SELECT 1 FROM review_confirmation c WHERE c.decision_id = d.id
                            )
                            OR d.action IN ('changes', 'reject', 'reopen', 'hold', 'release')
                                AND d.created_at > clock_timestamp() - {_SPAN}
                        ) AND NOT EXISTS (
                            SELECT 1 FROM review_decision later
                            WHERE later.submission_id = d.submission_id AND later.id > d.id
                        )
                    ) THEN
                        RAISE EXCEPTION 'The decision cannot be undone any more';
                    END IF;
                    RETURN NEW;
                """,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} #{self.submission_id}"

    @property
    def act(self) -> Decision.Action:
        return Decision.Action(self.action)

    @property
    def is_pending(self) -> bool:
        return self.proposed and not hasattr(self, "confirmation") and not hasattr(self, "undone_by")

    @property
    def took_effect_at(self) -> object:
        """When it was carried out; None while it was not."""
        if not self.proposed:
            return self.created_at
        said = getattr(self, "confirmation", None)
        return said.created_at if said and said.agreed else None


class Confirmation(models.Model):
    """What a second reviewer said to a proposed decision: with an agreement it takes effect. Append-only."""

    decision = models.OneToOneField(Decision, on_delete=models.PROTECT, related_name="confirmation")
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="confirmations"
    )
    agreed = models.BooleanField()
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(agreed=True) | ~Q(reason=""), name="confirmation_refusal_has_reason"
            ),
        ]
        triggers = [
            pgtrigger.Protect(name="confirmation_append_only", operation=pgtrigger.Update | pgtrigger.Delete),
            pgtrigger.Trigger(
                name="confirmation_by_another",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                declare=[("first", "review_decision%ROWTYPE")],
                func=f"""
                    SELECT * INTO first FROM review_decision WHERE id = NEW.decision_id;
                    IF NOT {conditions.is_now("NEW.created_at")} THEN
                        RAISE EXCEPTION 'A decision is dated when it is taken';
                    END IF;
                    IF NOT first.proposed OR EXISTS (
                        SELECT 1 FROM review_decision b WHERE b.undoes_id = first.id
                    ) THEN
                        RAISE EXCEPTION 'The decision waits for nobody';
                    END IF;
                    IF first.reviewer_id = NEW.reviewer_id THEN
                        RAISE EXCEPTION 'Another reviewer than the first has to agree';
                    END IF;
                    IF NOT {conditions.is_reviewer("NEW.reviewer_id")} THEN
                        RAISE EXCEPTION 'Only a reviewer decides';
                    END IF;
                    IF {conditions.is_conflicted("NEW.reviewer_id", "first.submission_id")} THEN
                        RAISE EXCEPTION 'Nobody decides on an entry of the own team';
                    END IF;
                    IF NOT {conditions.holds_claim("NEW.reviewer_id", "first.submission_id")} THEN
                        RAISE EXCEPTION 'A case is claimed before it is decided';
                    END IF;
                    RETURN NEW;
                """,
            ),
        ]

    def __str__(self) -> str:
        return f"{'agreed to' if self.agreed else 'declined'} {self.decision_id}"


class ChangeRequest(models.Model):
    """What a team was asked to change, until when, and the submission as it was reviewed.

    The submission is a draft again, with its number and its record. Where nothing comes until `due_at`, it
    is closed, and `lapsed_at` says when.
    """

    decision = models.OneToOneField(Decision, on_delete=models.PROTECT, related_name="change_request")
    due_at = models.DateTimeField()
    reviewed = models.JSONField(
        help_text="What was reviewed: texts, configuration, findings, adapter's digest"
    )
    lapsed_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(lapsed_at=None) | Q(lapsed_at__gte=F("due_at")), name="change_request_lapses_late"
            ),
        ]
        triggers = [
            pgtrigger.Protect(name="change_request_stays", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(name="change_request_fixed", fields=["decision", "due_at", "reviewed"]),
            pgtrigger.Protect(
                name="change_request_lapses_once",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__lapsed_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"changes of {self.decision.submission_id} until {self.due_at:%Y-%m-%d}"
