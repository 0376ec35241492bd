"""A submission's thread and the decisions on it through the API: its team and reviewers, nobody else."""

from __future__ import annotations

import pytest

from portal.accounts.models import ApiToken, Membership, User
from portal.discussion import services
from portal.review.models import Decision, TwoPersonRule
from portal.submissions.models import Submission
from tests.portal import factories
from tests.portal.api.conftest import Api, client_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def made(owner: User) -> Submission:
    return factories.evaluated(owner)


def test_both_sides_write_and_read_and_a_team_reads_no_notes(
    api: Api, teammate: Api, staff: Api, made: Submission
) -> None:
    path = f"submissions/{made.pk}/messages/"
    asked = api.post(path, {"text": " Which log is missing? "}, Idempotency_Key="one")
    assert (asked.status_code, asked.json()["text"]) == (201, "Which log is missing?")
    assert api.post(path, {"text": " Which log is missing? "}, Idempotency_Key="one").json() == asked.json()
    assert staff.post(path, {"text": "Round 3's."}).json()["from_reviewer"] is True
    assert staff.post(path, {"text": "Odd.", "is_note": True}).json()["is_note"] is True
    texts = {who: [row["text"] for row in who.get(path).json()["results"]] for who in (teammate, staff)}
    assert texts[teammate] == ["Which log is missing?", "Round 3's."]
    assert texts[staff] == [*texts[teammate], "Odd."]
    known = {"If_None_Match": api.get(path)["ETag"]}
    assert api.get(path, **known).status_code == 304


def test_strangers_find_neither_thread_nor_decisions_be_the_entry_public_or_not(
    other: Api, nobody: Api, owner: User, made: Submission
) -> None:
    for entry in (made, factories.published(owner, method="public")):
        for name in ("messages", "decisions"):
            path = f"submissions/{entry.pk}/{name}/"
            assert other.get(path).status_code == 404 and nobody.get(path).status_code == 401
        assert other.post(f"submissions/{entry.pk}/messages/", {"text": "x"}).status_code == 404
    assert not made.messages.exists()


def test_writing_needs_the_scope_to_submit_and_something_to_say(
    api: Api, owner: User, made: Submission
) -> None:
    path = f"submissions/{made.pk}/messages/"
    reads = Api(ApiToken.issue(user=owner, name="reads", scopes=["read"])[1])
    assert reads.get(path).status_code == 200
    assert reads.post(path, {"text": "x"}).json()["type"].endswith("insufficient_scope")
    for body in ({}, {"text": "  "}, {"text": "a\0b"}, {"text": "x" * 4001}, {"text": "x", "to": "all"}):
        assert api.post(path, body).status_code == 400, body
    refused = api.post(path, {"text": "x", "is_note": True})
    assert refused.status_code == 409 and "Notes are among reviewers" in refused.json()["detail"]


def test_who_writes_too_many_messages_is_told_when_to_go_on(
    api: Api, made: Submission, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "RATE", "1/hour")
    path = f"submissions/{made.pk}/messages/"
    assert api.post(path, {"text": "one"}).status_code == 201
    over = api.post(path, {"text": "two"})
    assert over.status_code == 429 and int(over["Retry-After"]) > 3000


def test_a_team_reads_what_took_effect_and_reviewers_the_whole_record(
    api: Api, staff: Api, owner: User, reviewer: User
) -> None:
    TwoPersonRule.objects.get_or_create(action=Decision.Action.DISQUALIFY)
    made = factories.evaluated(owner)
    factories.review(made, reviewer, Decision.Action.HOLD, reason="Ask the organisers.")
    factories.review(made, reviewer, Decision.Action.RELEASE)
    factories.user("second", is_staff=True, is_superuser=True)  # so that the site has two who decide
    factories.review(made, reviewer, Decision.Action.PUBLISH)
    factories.review(made, reviewer, Decision.Action.DISQUALIFY, reason="A copy.")  # waits for the second
    path = f"submissions/{made.pk}/decisions/"
    told = api.get(path).json()["results"]
    assert [(row["action"], row["reason"]) for row in told] == [
        ("hold", "Ask the organisers."),
        ("release", ""),
        ("publish", ""),
    ]
    assert all(row["reviewer"] is None and row["took_effect_at"] for row in told)
    whole = staff.get(path).json()["results"]
    assert [row["reviewer"] for row in whole] == [reviewer.username] * 4
    assert (whole[3]["action"], whole[3]["took_effect_at"]) == ("disqualify", None)


def test_a_reviewer_of_the_team_reads_no_more_than_the_team(owner: User, reviewer: User) -> None:
    made = factories.evaluated(owner)
    factories.review(made, reviewer, Decision.Action.HOLD, reason="Whose is it?")
    services.post(submission=made, author=reviewer, text="Looks copied.", is_note=True)
    insider = factories.user("insider", is_staff=True, is_superuser=True)
    Membership.objects.create(team=made.team, user=insider)
    api = client_of(insider)
    assert api.get(f"submissions/{made.pk}/messages/").json()["results"] == []
    [row] = api.get(f"submissions/{made.pk}/decisions/").json()["results"]
    assert row["reviewer"] is None
