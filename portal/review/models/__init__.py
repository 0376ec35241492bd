"""What reviewers decide, by which rules, and what people ask of them."""

from portal.review.models.audit import Audit, AuditDraw
from portal.review.models.case import Case
from portal.review.models.claim import CLAIM_SPAN, CaseClaim
from portal.review.models.decision import UNDO_SPAN, ChangeRequest, Confirmation, Decision
from portal.review.models.requests import EntryRequest
from portal.review.models.rules import ReasonTemplate, TwoPersonRule

__all__ = [
    "CLAIM_SPAN",
    "UNDO_SPAN",
    "Audit",
    "AuditDraw",
    "Case",
    "CaseClaim",
    "ChangeRequest",
    "Confirmation",
    "Decision",
    "EntryRequest",
    "ReasonTemplate",
    "TwoPersonRule",
]
