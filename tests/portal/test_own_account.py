"""One's own account: taking one's data along, and deleting it while what teams submitted stays."""

from __future__ import annotations

import json
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.cache import cache
from django.core.files.storage import default_storage
from django.core.mail import EmailMessage
from django.test import Client

from portal.accounts import teams
from portal.accounts.models import ApiToken, Invitation, Membership, Team, User, personal_team
from portal.intake.services import create
from portal.notifications import services as notifications
from portal.notifications.models import EmailPreferences, Webhook
from portal.review.models import Decision
from portal.submissions.models import Submission
from portal.uploads import services as uploads
from portal.uploads.models import Upload
from tests.portal import factories

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def fresh_limits() -> None:
    cache.clear()


def delete(client: Client, password: str = PASSWORD) -> Any:
    return client.post("/accounts/delete/", {"password": password})


def test_the_download_holds_what_the_site_knows_and_no_secret(as_owner: Client, owner: User) -> None:
    made = factories.published(owner, method="Mine")
    _, secret = ApiToken.issue(user=owner, name="training server")
    TOTP.activate(owner, "JBSWY3DPEHPK3PXP")
    response = as_owner.get("/accounts/data/download/")
    assert response["Content-Disposition"] == 'attachment; filename="owner.json"'
    data = json.loads(response.content)
    assert data["account"]["email"] == "owner@example.org"
    assert data["teams"][0]["team"] == "owner"
    assert data["api_tokens"][0]["name"] == "training server"
    assert data["second_factors"][0]["type"] == "totp"
    submission = data["submissions"][0]
    assert submission["id"] == made.pk and submission["status"] == "published"
    assert submission["configuration"] == made.config_text and submission["adapter"]["sha256"]
    assert submission["evaluations"][0]["scores"] and submission["decisions"][0]["action"] == "publish"
    text = response.content.decode()
    assert secret not in text and ApiToken.digest_of(secret) not in text and owner.password not in text
    stored = Authenticator.objects.get(user=owner, type="totp").data["secret"]
    assert stored not in text


def test_the_download_holds_nothing_of_others(as_owner: Client, owner: User, stranger: User) -> None:
    team = teams.found(owner=owner, name="Alpine group")
    Membership.objects.create(team=team, user=stranger)
    factories.submission(stranger, team=team, method="Of a colleague")
    text = as_owner.get("/accounts/data/download/").content.decode()
    assert "Of a colleague" not in text and "stranger" not in text


def test_deleting_needs_the_password(as_owner: Client, owner: User) -> None:
    assert "Incorrect password" in delete(as_owner, "wrong").content.decode()
    assert as_owner.get("/accounts/delete/").status_code == 200
    owner.refresh_from_db()
    assert owner.is_active


def test_who_has_no_password_gives_the_name_instead(as_owner: Client, owner: User) -> None:
    owner.set_unusable_password()
    owner.save()
    as_owner.force_login(owner)
    page = as_owner.get("/accounts/delete/").content.decode()
    assert "Your username" in page and "password" not in page.split("<form class")[1]
    assert as_owner.post("/accounts/delete/", {"username": "other"}).status_code == 422
    assert as_owner.post("/accounts/delete/", {"username": "owner"})["Location"] == "/"
    owner.refresh_from_db()
    assert not owner.is_active


def test_without_a_password_a_second_factor_is_asked_before_a_deletion(as_owner: Client, owner: User) -> None:
    owner.set_unusable_password()
    owner.save()
    as_owner.force_login(owner)
    TOTP.activate(owner, "JBSWY3DPEHPK3PXP")
    answer = as_owner.post("/accounts/delete/", {"username": "owner"})
    assert answer["Location"].startswith("/accounts/2fa/reauthenticate/")
    owner.refresh_from_db()
    assert owner.is_active


def test_guesses_at_the_password_of_a_deletion_are_limited(as_owner: Client, owner: User) -> None:
    for _ in range(5):
        delete(as_owner, "wrong")
    assert delete(as_owner).status_code == 422
    owner.refresh_from_db()
    assert owner.is_active


def test_the_person_goes_and_entries_stay_under_the_team(
    as_owner: Client, client: Client, owner: User, mailoutbox: list[EmailMessage]
) -> None:
    team = personal_team(owner)
    User.objects.filter(pk=owner.pk).update(full_name="Olga Wner", shown_in_teams=True)
    made = factories.published(owner, method="It stays")
    assert delete(as_owner)["Location"] == "/"
    gone = User.objects.get(pk=owner.pk)
    assert not gone.is_active and not gone.has_usable_password() and gone.username.startswith("deleted-")
    assert (gone.email, gone.full_name, gone.affiliation, gone.last_login) == ("", "", "", None)
    made.refresh_from_db()
    assert made.status == "published" and made.team == team
    page = client.get(f"/teams/{team.pk}/").content.decode()
    assert "It stays" in page and "Olga" not in page
    assert client.get(f"/entries/{made.pk}/").status_code == 200
    assert as_owner.get("/submissions/").status_code == 302
    assert mailoutbox[-1].to == ["owner@example.org"] and "account owner was deleted" in mailoutbox[-1].body


def test_nothing_that_was_the_account_s_alone_is_left(
    as_owner: Client, owner: User, django_capture_on_commit_callbacks: Any
) -> None:
    team = teams.found(owner=owner, name="Never submitted")
    teams.invite(team=team, by=owner)
    ApiToken.issue(user=owner, name="CI")
    EmailAddress.objects.create(user=owner, email=owner.email, verified=True, primary=True)
    TOTP.activate(owner, "JBSWY3DPEHPK3PXP")
    notifications.set_preferences(user=owner, muted=[], whole_team=True)
    notifications.add_webhook(team=personal_team(owner), url="https://hooks.example.org/", events=[])
    upload = uploads.create(user=owner, name="adapter.safetensors", length=10)
    draft = create(factories.draft(owner))
    file = draft.adapter_file.name
    factories.submission(owner)
    with django_capture_on_commit_callbacks(execute=True):
        delete(as_owner)
    for model in (Membership, Invitation, ApiToken, EmailAddress, Authenticator, EmailPreferences, Webhook):
        assert not model.objects.exists(), model
    assert not Submission.objects.filter(pk=draft.pk).exists()
    assert file and not default_storage.exists(file)
    assert list(Team.objects.values_list("name", "personal_of")) == [("owner", None)]
    assert Upload.objects.get(pk=upload.pk).user is None


def test_name_and_address_are_free_again(as_owner: Client, owner: User) -> None:
    delete(as_owner)
    again = factories.user("owner")
    assert personal_team(again).personal_of == again


def test_the_only_owner_of_a_team_with_members_is_told_what_to_do(
    as_owner: Client, owner: User, stranger: User
) -> None:
    team = teams.found(owner=owner, name="Alpine group")
    Membership.objects.create(team=team, user=stranger)
    page = as_owner.get("/accounts/delete/").content.decode()
    assert "Alpine group" in page and "Make another member an owner there" in page
    assert delete(as_owner).status_code == 422
    Membership.objects.filter(user=stranger, team=team).update(role=Membership.Role.OWNER)
    assert delete(as_owner).status_code == 302
    assert list(team.members.all()) == [stranger]


def test_a_personal_team_goes_on_with_its_other_owner(as_owner: Client, owner: User, stranger: User) -> None:
    team = personal_team(owner)
    Membership.objects.create(team=team, user=stranger, role=Membership.Role.OWNER)
    delete(as_owner)
    team.refresh_from_db()
    assert team.personal_of is None and list(team.members.all()) == [stranger]


def test_drafts_of_a_team_with_others_stay_theirs(as_owner: Client, owner: User, stranger: User) -> None:
    team = teams.found(owner=owner, name="Alpine group")
    Membership.objects.create(team=team, user=stranger, role=Membership.Role.OWNER)
    draft = create(factories.draft(owner, team=team))
    delete(as_owner)
    assert Submission.objects.filter(pk=draft.pk).exists()


def test_the_record_of_what_staff_did_stays_without_their_name(
    as_reviewer: Client, reviewer: User, owner: User
) -> None:
    made = factories.published(owner)
    LogEntry.objects.create(
        user=reviewer,
        content_type=ContentType.objects.get_for_model(Submission),
        object_id=str(made.pk),
        object_repr="entry",
        action_flag=CHANGE,
    )
    delete(as_reviewer)
    decision = Decision.objects.get(submission=made)
    assert decision.reviewer.username.startswith("deleted-") and not decision.reviewer.is_staff
    assert LogEntry.objects.filter(user=reviewer).exists()
