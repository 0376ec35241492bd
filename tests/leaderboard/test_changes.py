"""The change log and the feeds: what they tell, and what they keep to themselves."""

from __future__ import annotations

import uuid
from datetime import timedelta
from xml.etree import ElementTree

import pytest
from django.test import Client
from django.utils import timezone

from leaderboard.reading.changes import Cursor, Kind, changes
from portal.accounts.models import User
from portal.intake.services import withdraw
from portal.review.models import Decision
from portal.runs.models import Evaluation
from portal.submissions.models import Submission
from tests.portal import factories

pytestmark = pytest.mark.django_db
ATOM = {"atom": "http://www.w3.org/2005/Atom"}


def page(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return response.content.decode()


def feed(content: bytes) -> ElementTree.Element:
    return ElementTree.fromstring(content)  # this site's own answer


def told(**narrowed: object) -> list[tuple[Kind, int]]:
    return [(change.kind, change.entry) for change in changes(**narrowed).changes]  # type: ignore[arg-type]


def disqualify(made: Submission, reviewer: User, reason: str) -> None:
    factories.review(made, reviewer, Decision.Action.DISQUALIFY, reason=reason)


def evaluate_again(made: Submission) -> Evaluation:
    """A second evaluation of an entry that is published."""
    now = timezone.now()
    evaluation = Evaluation.objects.create(
        submission=made,
        base_model=made.base_model,
        checkpoint=made.checkpoint,
        protocol=1,
        status=Evaluation.Status.RUNNING,
        claim_id=uuid.uuid4(),
        lease_expires_at=now + timedelta(minutes=1),
    )
    Evaluation.objects.filter(pk=evaluation.pk).update(
        status=Evaluation.Status.SUCCEEDED, claim_id=None, lease_expires_at=None, finished_at=timezone.now()
    )
    return evaluation


def test_an_empty_history_says_so(client: Client) -> None:
    assert "Nothing of this kind happened yet" in page(client, "/changes/")


def test_the_newest_event_comes_first(owner: User, reviewer: User) -> None:
    first, second = (factories.published(owner, method=name) for name in ("one", "two"))
    disqualify(first, reviewer, "copied")
    withdraw(second)
    assert told() == [
        (Kind.WITHDRAWN, second.pk),
        (Kind.DISQUALIFIED, first.pk),
        (Kind.PUBLISHED, second.pk),
        (Kind.PUBLISHED, first.pk),
    ]


def test_a_disqualification_is_told_with_its_reason(client: Client, owner: User, reviewer: User) -> None:
    made = factories.published(owner, method="Too good")
    disqualify(made, reviewer, "trained on the test items")
    html = page(client, "/changes/")
    assert "trained on the test items" in html and f"/entries/{made.pk}/" in html


def test_a_withdrawn_entry_keeps_its_number_and_loses_team_and_link(
    client: Client, owner: User, as_stranger: Client
) -> None:
    made = factories.published(owner, method="Taken back", description="private thoughts")
    withdraw(made)
    html = page(as_stranger, "/changes/")
    assert "Taken back" in html and f"entry {made.pk}" in html
    assert made.team.name not in html and f"/entries/{made.pk}/" not in html and "private" not in html


def test_what_was_never_published_is_not_told(client: Client, owner: User, reviewer: User) -> None:
    withdrawn = factories.evaluated(owner, method="Never seen")
    withdraw(withdrawn)
    rejected = factories.evaluated(owner, method="Turned down")
    factories.review(rejected, reviewer, Decision.Action.REJECT, reason="no")
    assert told() == []


def test_an_evaluation_after_publication_is_told(owner: User) -> None:
    made = factories.published(owner)
    evaluate_again(made)
    assert told() == [(Kind.EVALUATED_AGAIN, made.pk), (Kind.PUBLISHED, made.pk)]


def test_the_history_is_narrowed_by_challenge_and_kind(client: Client, owner: User) -> None:
    made = factories.published(owner, method="Of finance")
    withdraw(made)
    assert "Of finance" in page(client, "/changes/?challenge=finance&kind=withdrawn")
    assert "Of finance" not in page(client, "/changes/?challenge=medical")
    assert "Of finance" not in page(client, "/changes/?kind=disqualified")


@pytest.mark.parametrize(
    "query",
    [
        "challenge=poetry",
        "kind=burned",
        "before=yesterday",
        "before=2026-01-01~published~1",
        "before=0001-01-01T00:00:00%2B23:59~published~1",
    ],
)
def test_parts_that_do_not_exist_are_not_found(client: Client, query: str) -> None:
    assert client.get(f"/changes/?{query}").status_code == 404


def test_pages_follow_each_other_without_gap_or_repeat(owner: User, reviewer: User) -> None:
    entries = [factories.published(owner, method=f"number {number}") for number in range(4)]
    disqualify(entries[0], reviewer, "copied")
    whole = told()
    walked: list[tuple[Kind, int]] = []
    before: Cursor | None = None
    while True:
        part = changes(size=2, before=before)
        walked += [(change.kind, change.entry) for change in part.changes]
        if part.older is None:
            break
        before = Cursor.of(str(part.older))
    assert walked == whole and len(walked) == 5


def test_the_feed_has_what_is_on_the_boards(client: Client, owner: User) -> None:
    kept = factories.published(owner, method="Kept & <b>bold</b>", correct=70)
    withdraw(factories.published(owner, method="Gone"))
    for path in ("/feed.atom", "/leaderboard/finance/feed.atom"):
        response = client.get(path)
        assert response["Content-Type"].startswith("application/atom+xml")
        entries = feed(response.content).findall("atom:entry", ATOM)
        assert [e.findtext("atom:title", "", ATOM) for e in entries] == ["Finance: Kept & <b>bold</b>"]
        link = entries[0].find("atom:link", ATOM)
        assert link is not None and link.attrib["href"] == f"http://testserver/entries/{kept.pk}/"
        summary = entries[0].findtext("atom:summary", "", ATOM)  # HTML, other than the title
        assert "70.00%" in summary and "&lt;b&gt;bold" in summary
    assert b"<entry>" not in client.get("/leaderboard/medical/feed.atom").content
    assert client.get("/leaderboard/poetry/feed.atom").status_code == 404


def test_characters_that_xml_forbids_do_not_break_the_feed(client: Client, owner: User) -> None:
    factories.published(owner, method="bell\x07 and \x0b tab")
    root = feed(client.get("/feed.atom").content)
    assert root.findtext("atom:entry/atom:title", "", ATOM) == "Finance: bell and  tab"


def test_a_reader_that_has_the_feed_is_told_so(client: Client, owner: User) -> None:
    factories.published(owner)
    first = client.get("/feed.atom")
    assert client.get("/feed.atom", headers={"If-None-Match": first["ETag"]}).status_code == 304
