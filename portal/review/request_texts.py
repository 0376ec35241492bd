"""What the page of each kind of request says."""

from __future__ import annotations

from dataclasses import dataclass

from portal.review.entry_requests import MOST_A_DAY, REPLY_TIME
from portal.review.models import EntryRequest


@dataclass(frozen=True)
class Texts:
    """The words of a page that asks something about an entry."""

    title: str
    heading: str
    explained: str
    reason: str
    help: str
    button: str


_DAYS = REPLY_TIME.days
_LIMIT = f"You can send {MOST_A_DAY} requests a day."
TEXTS = {
    EntryRequest.Kind.CLAIM: Texts(
        title="Claim",
        heading="Is this entry yours?",
        explained="It was taken over from a public board. Reviewers read your claim; where it is right, the "
        "entry becomes your team's.",
        reason="Why it is yours",
        help="For example who of you sent it to the public board, and when.",
        button="Send the claim",
    ),
    EntryRequest.Kind.REPORT: Texts(
        title="Report",
        heading="Report this entry",
        explained="What you write goes to the reviewers alone. Their answer stands on this page and comes to "
        f"you by e-mail. {_LIMIT}",
        reason="What is wrong with it",
        help="For example that it is a copy of another entry, with what shows it.",
        button="Send the report",
    ),
    EntryRequest.Kind.OBJECTION: Texts(
        title="Object",
        heading="Object to this entry in public",
        explained="Your objection stands on the entry's page at once, with your user name. Its team has "
        f"{_DAYS} days to answer beside it; then the reviewers conclude. To tell the reviewers alone, report "
        f"the entry instead. {_LIMIT}",
        reason="Your objection",
        help="Say what can be checked by others: a score, a configuration, a file. It is public and stays.",
        button="Publish the objection",
    ),
    EntryRequest.Kind.APPEAL: Texts(
        title="Appeal",
        heading="Appeal against the decision",
        explained="A reviewer who did not take the decision reads your appeal and answers it. What was "
        f"decided stands until then. {_LIMIT}",
        reason="Why the decision is wrong",
        help="Name what the reviewer did not know or took wrongly.",
        button="Send the appeal",
    ),
}
