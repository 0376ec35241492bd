"""What audits of an entry showed."""

from __future__ import annotations

from portal.review.audits import in_words
from portal.review.models import Audit
from portal.submissions.models import Submission


def audits_of(submission: Submission) -> list[tuple[Audit, str]]:
    """The audits of a submission with their words, the newest first."""
    found = Audit.objects.filter(submission=submission).select_related("draw").order_by("-pk")
    return [(audit, in_words(audit)) for audit in found]
