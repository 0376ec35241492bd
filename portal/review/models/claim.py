"""Who has a case: a reviewer claims it before deciding, and the claim ends by itself."""

from __future__ import annotations

from datetime import timedelta

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from portal.review.models import conditions
from portal.submissions.models import Submission

CLAIM_SPAN = timedelta(minutes=30)
"""So long a claim holds after its reviewer did something with the case."""

_LONGEST = f"interval '{int((CLAIM_SPAN + conditions.CLOCKS).total_seconds())} seconds'"


class CaseClaim(models.Model):
    """A reviewer's hold on a case, until `until` or `ended_at`, whichever is first. Rows stay on record.

    `ended_by` ended it: its reviewer, or a superuser who took the case over while the claim still held.
    """

    submission = models.ForeignKey(Submission, on_delete=models.PROTECT, related_name="case_claims")
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="case_claims"
    )
    claimed_at = models.DateTimeField(default=timezone.now, editable=False)
    until = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, editable=False)
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["submission"], condition=Q(ended_at=None), name="case_claim_one_open"
            ),
            models.CheckConstraint(
                condition=Q(ended_by=None) | Q(ended_at__isnull=False), name="case_claim_ended_by_somebody"
            ),
        ]
        triggers = [
            pgtrigger.Protect(name="case_claim_stays", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(name="case_claim_identity", fields=["submission", "reviewer", "claimed_at"]),
            pgtrigger.Protect(
                name="case_claim_ended",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__ended_at__isnull=False),
            ),
            pgtrigger.Trigger(
                name="case_claim_by_reviewer",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                func=f"""
                    IF NOT {conditions.is_reviewer("NEW.reviewer_id")} THEN
                        RAISE EXCEPTION 'Only a reviewer claims a case';
                    END IF;
                    IF {conditions.is_conflicted("NEW.reviewer_id", "NEW.submission_id")} THEN
                        RAISE EXCEPTION 'Nobody decides on an entry of the own team';
                    END IF;
                    RETURN NEW;
                """,
            ),
            pgtrigger.Trigger(
                name="case_claim_span",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert | pgtrigger.Update,
                func=f"""
                    IF NEW.until > clock_timestamp() + {_LONGEST} THEN
                        RAISE EXCEPTION 'A claim ends within half an hour';
                    END IF;
                    RETURN NEW;
                """,
            ),
            pgtrigger.Trigger(
                name="case_claim_ended_by_right",
                when=pgtrigger.Before,
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__ended_at__isnull=True, new__ended_at__isnull=False),
                func="""
                    IF OLD.until > clock_timestamp() AND NEW.ended_by_id IS DISTINCT FROM OLD.reviewer_id
                        AND NOT EXISTS (
                            SELECT 1 FROM accounts_user u
                            WHERE u.id = NEW.ended_by_id AND u.is_superuser AND u.is_active
                        )
                    THEN
                        RAISE EXCEPTION 'The case is claimed';
                    END IF;
                    RETURN NEW;
                """,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.reviewer} has #{self.submission_id}"

    @property
    def is_open(self) -> bool:
        return self.ended_at is None and self.until > timezone.now()
