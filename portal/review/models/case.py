"""Submissions as the desk keeps them: what only a decision may make of one."""

from __future__ import annotations

import pgtrigger

from portal.submissions.models import Submission

_BY_DECISION = {
    ("in_review", "published"): ("publish",),
    ("in_review", "received"): ("changes",),
    ("in_review", "rejected"): ("reject", "undo"),
    ("rejected", "in_review"): ("reopen", "undo"),
    ("published", "disqualified"): ("disqualify",),
    ("disqualified", "published"): ("reinstate",),
}
"""Steps of a submission's status, and the decisions of which the newest must be one, in effect."""

_ROWS = ", ".join(
    f"('{old}', '{new}', '{action}')" for (old, new), actions in _BY_DECISION.items() for action in actions
)
_STEPS = ", ".join(f"('{old}', '{new}')" for old, new in _BY_DECISION)


class Case(Submission):
    """A submission under review. The table is the submissions' own."""

    class Meta:
        proxy = True
        default_permissions = ()
        triggers = [
            pgtrigger.Trigger(
                name="case_decided",
                when=pgtrigger.Before,
                operation=pgtrigger.Update,
                condition=pgtrigger.Condition(f"((OLD.status, NEW.status) IN ({_STEPS}))"),
                declare=[("last", "record")],
                func=f"""
                    SELECT d.action, NOT d.proposed OR COALESCE(c.agreed, false) AS stands INTO last
                    FROM review_decision d LEFT JOIN review_confirmation c ON c.decision_id = d.id
                    WHERE d.submission_id = NEW.id ORDER BY d.id DESC LIMIT 1;
                    IF NOT FOUND OR NOT last.stands
                        OR (OLD.status, NEW.status, last.action) NOT IN ({_ROWS})
                    THEN
                        RAISE EXCEPTION 'A submission becomes % by a decision alone', NEW.status;
                    END IF;
                    RETURN NEW;
                """,
            ),
        ]
