"""What people ask of the reviewers about published entries."""

from __future__ import annotations

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from portal.accounts.models import Team
from portal.review.models import conditions
from portal.submissions.models import Submission

_DECISION = """(
    SELECT d.id FROM review_decision d LEFT JOIN review_confirmation c ON c.decision_id = d.id
    WHERE d.submission_id = NEW.submission_id AND d.action IN ('reject', 'disqualify')
        AND (NOT d.proposed OR COALESCE(c.agreed, false))
    ORDER BY d.id DESC LIMIT 1
)"""
"""What an appeal is against."""

_DECIDERS = f"""
    SELECT d.reviewer_id FROM review_decision d WHERE d.id = {_DECISION}
    UNION SELECT c.reviewer_id FROM review_confirmation c WHERE c.decision_id = {_DECISION}
"""


def _concerned(user: str) -> str:
    """Who asked, and members of the asking team and of the entry's."""
    return f"""({user} = NEW.user_id OR {conditions.is_conflicted(user, "NEW.submission_id")} OR EXISTS (
        SELECT 1 FROM accounts_membership m WHERE m.user_id = {user} AND m.team_id = NEW.team_id
    ))"""


# On an appeal, who decided leaves the answer to others, where there are others.
_NOT_BY_THE_CONCERNED = f"""
IF NOT {conditions.is_reviewer("NEW.answered_by_id")} THEN
    RAISE EXCEPTION 'pgtrigger: only a reviewer answers the request %', NEW.id;
END IF;
IF {_concerned("NEW.answered_by_id")} OR (
    NEW.kind = 'appeal' AND NEW.answered_by_id IN ({_DECIDERS}) AND EXISTS (
        SELECT 1 FROM ({conditions.REVIEWERS}) other
        WHERE other.id NOT IN ({_DECIDERS}) AND NOT {_concerned("other.id")}
    )
) THEN
    RAISE EXCEPTION 'pgtrigger: the request % concerns who answers it', NEW.id;
END IF;
RETURN NEW;
"""


class EntryRequest(models.Model):
    """What somebody asks of the reviewers about an entry, and their answer.

    A claim says that an entry taken over from another board is the team's own. A report tells the reviewers
    alone that something is wrong with an entry; an objection says so in public, beside the answer of the
    entry's team. An appeal is a team's, against the decision on its submission.
    """

    class Kind(models.TextChoices):
        CLAIM = "claim", "claim"
        REPORT = "report", "report"
        OBJECTION = "objection", "objection"
        APPEAL = "appeal", "appeal"

    class State(models.TextChoices):
        OPEN = "open", "waiting for the reviewers"
        ACCEPTED = "accepted", "accepted"
        DECLINED = "declined", "declined"

    LONGEST = 2000

    submission = models.ForeignKey(Submission, on_delete=models.PROTECT, related_name="entry_requests")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="entry_requests"
    )
    team = models.ForeignKey(
        Team,
        on_delete=models.PROTECT,
        null=True,
        related_name="entry_requests",
        help_text="For whom it is asked; reports and objections are a person's own",
    )
    reason = models.TextField(max_length=LONGEST)
    link = models.URLField(blank=True, help_text="Where others can see that it is so")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    due_at = models.DateTimeField(null=True, editable=False, help_text="Until when the entry's team answers")
    reply = models.TextField(blank=True, max_length=LONGEST, help_text="Of the entry's team, to an objection")
    replied_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, editable=False, related_name="+"
    )
    replied_at = models.DateTimeField(null=True, editable=False)
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    answer = models.TextField(blank=True, max_length=LONGEST, help_text="Of the reviewers")
    answered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, editable=False, related_name="+"
    )
    answered_at = models.DateTimeField(null=True, editable=False)
    is_hidden = models.BooleanField(default=False, help_text="An objection whose text is not shown in public")

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["submission", "user", "kind"],
                condition=Q(state="open"),
                name="entry_request_one_open",
            ),
            models.CheckConstraint(
                condition=Q(state="open", answered_at=None)
                | (~Q(state="open") & Q(answered_at__isnull=False) & ~Q(answered_by=None)),
                name="entry_request_answered_or_open",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["report", "objection"], team=None)
                | Q(kind__in=["claim", "appeal"], team__isnull=False),
                name="entry_request_has_its_team",
            ),
            models.CheckConstraint(
                condition=Q(kind="objection") | Q(replied_at=None, due_at=None, is_hidden=False),
                name="entry_request_only_objections_are_public",
            ),
        ]
        triggers = [
            pgtrigger.Protect(
                name="entry_request_begins_open",
                operation=pgtrigger.Insert,
                condition=pgtrigger.Condition("NEW.state <> 'open' OR NEW.answered_by_id IS NOT NULL"),
            ),
            pgtrigger.ReadOnly(
                name="entry_request_as_asked",
                fields=["submission", "kind", "user", "team", "reason", "link", "created_at", "due_at"],
            ),
            pgtrigger.Protect(
                name="entry_request_answer_stands",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__answered_at__isnull=False),
            ),
            pgtrigger.Protect(
                name="entry_request_reply_stands",
                operation=pgtrigger.Update,
                condition=pgtrigger.Condition(
                    "OLD.replied_at IS NOT NULL AND (OLD.reply, OLD.replied_by_id, OLD.replied_at)"
                    " IS DISTINCT FROM (NEW.reply, NEW.replied_by_id, NEW.replied_at)"
                ),
            ),
            pgtrigger.Protect(name="entry_request_kept", operation=pgtrigger.Delete),
            pgtrigger.Trigger(
                name="entry_request_not_by_the_concerned",
                when=pgtrigger.Before,
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__answered_by__isnull=True, new__answered_by__isnull=False),
                func=_NOT_BY_THE_CONCERNED,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of #{self.submission_id} by {self.user}"
