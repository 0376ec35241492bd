"""Conditions that triggers of the desk ask, as SQL: who may decide, whose case it is, what is open."""

from __future__ import annotations

from datetime import timedelta

CLOCKS = timedelta(minutes=5)
"""So far the site's clock may differ from the database's."""

REVIEWERS = """
    SELECT u.id FROM accounts_user u
    WHERE u.is_active AND u.is_staff AND (u.is_superuser OR EXISTS (
        SELECT 1 FROM auth_permission p
        JOIN django_content_type t ON t.id = p.content_type_id
        WHERE t.app_label = 'review' AND p.codename = 'decide' AND (
            EXISTS (
                SELECT 1 FROM accounts_user_user_permissions o
                WHERE o.user_id = u.id AND o.permission_id = p.id
            ) OR EXISTS (
                SELECT 1 FROM accounts_user_groups m
                JOIN auth_group_permissions g ON g.group_id = m.group_id
                WHERE m.user_id = u.id AND g.permission_id = p.id
            )
        )
    ))
"""
"""Everybody with the right to decide."""


def is_now(moment: str) -> str:
    """Whether it is about now: a record says when it was made, neither earlier nor later."""
    span = f"interval '{int(CLOCKS.total_seconds())} seconds'"
    return f"({moment} BETWEEN clock_timestamp() - {span} AND clock_timestamp() + {span})"


def is_reviewer(user: str) -> str:
    return f"{user} IN ({REVIEWERS})"


def is_conflicted(user: str, submission: str) -> str:
    """Whether the case is of the user's own team. Reference entries are the site's own, made by its staff."""
    return f"""EXISTS (
        SELECT 1 FROM submissions_submission own
        WHERE own.id = {submission} AND own.kind <> 'reference' AND (
            own.submitter_id = {user} OR EXISTS (
                SELECT 1 FROM accounts_membership part
                WHERE part.team_id = own.team_id AND part.user_id = {user}
            )
        )
    )"""


def holds_claim(user: str, submission: str) -> str:
    """Whether the user has the case now. The clock, not the transaction's start: claims end meanwhile."""
    return f"""EXISTS (
        SELECT 1 FROM review_caseclaim held
        WHERE held.submission_id = {submission} AND held.reviewer_id = {user}
            AND held.ended_at IS NULL AND held.until > clock_timestamp()
    )"""


def open_proposal(submission: str, *, but: str = "NULL") -> str:
    """Whether a decision waits for a second reviewer, other than the decision `but`."""
    return f"""EXISTS (
        SELECT 1 FROM review_decision waiting
        WHERE waiting.submission_id = {submission} AND waiting.proposed
            AND waiting.id IS DISTINCT FROM {but}
            AND NOT EXISTS (SELECT 1 FROM review_confirmation c WHERE c.decision_id = waiting.id)
            AND NOT EXISTS (SELECT 1 FROM review_decision b WHERE b.undoes_id = waiting.id)
    )"""


def on_hold(submission: str) -> str:
    """Whether the last hold or release that stands is a hold."""
    return f"""'hold' = (
        SELECT last.action FROM review_decision last
        WHERE last.submission_id = {submission} AND last.action IN ('hold', 'release')
            AND NOT EXISTS (SELECT 1 FROM review_decision b WHERE b.undoes_id = last.id)
        ORDER BY last.id DESC LIMIT 1
    )"""


def needs_second(action: str, submission: str, user: str) -> str:
    """Whether the operator wants a second reviewer for such a decision, and there is one besides the user."""
    return f"""(
        EXISTS (SELECT 1 FROM review_twopersonrule r WHERE r.action = {action} AND r.top IS NULL)
        AND EXISTS (
            SELECT 1 FROM ({REVIEWERS}) other
            WHERE other.id <> {user} AND NOT {is_conflicted("other.id", submission)}
        )
    )"""
