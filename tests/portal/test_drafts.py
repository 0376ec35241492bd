"""Drafts: begun, changed, sent and deleted, and what the database keeps from changing after that."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import ProgrammingError, transaction
from django.test import Client
from django.utils import timezone

from evaluation.findings import Severity
from portal.accounts.models import Membership, User, personal_team
from portal.intake import quotas, services
from portal.intake.drafts import Cost, Draft, Files, InvalidSubmission, TransitionRefused
from portal.submissions.models import Checkpoint, DeclaredScore, Finding, Resource, Submission
from portal.uploads.models import Upload
from tests.portal import factories

pytestmark = pytest.mark.django_db


def draft(owner: User, **changes: Any) -> Draft:
    """A draft as it is begun: without files."""
    return factories.draft(owner, **{"files": None, **changes})


def sound_files(owner: User) -> Files:
    files = factories.draft(owner).files
    assert files
    return files


def codes(submission: Submission, severity: Severity = Severity.ERROR) -> set[str]:
    return set(submission.findings.filter(severity=severity.value).values_list("code", flat=True))


def stored(storage: Path) -> list[Path]:
    return [path for path in storage.rglob("*") if path.is_file()]


def test_a_draft_begins_without_files_and_says_what_is_missing(owner: User) -> None:
    submission = services.create(draft(owner))
    assert submission.status == "received" and submission.checkpoint is None
    missing = submission.findings.filter(code="submission.missing_file").values_list("location", flat=True)
    assert set(missing) == {"adapter_model.safetensors", "adapter_config.json", "pyproject.toml"}
    assert not submission.evaluations.exists()


def test_files_come_one_by_one_and_findings_go_as_they_come(owner: User, storage: Path) -> None:
    submission, files = services.create(draft(owner)), sound_files(owner)
    for part in (
        Files(config=files.config),
        Files(adapter_config=files.adapter_config),
        Files(adapter=files.adapter, adapter_size=files.adapter_size),
    ):
        assert "submission.missing_file" in codes(submission)
        services.amend(submission, draft(owner, files=part))
    assert codes(submission) == set()
    submission.refresh_from_db()
    assert len(stored(storage)) == 1 and submission.method_card
    assert submission.method_card["rounds"] == 8
    assert submission.resources.filter(basis="derived").count() == 2
    sent = services.send(submission)
    assert sent.status == "queued" and sent.sent_at and sent.checkpoint and not sent.adapter_file
    with sent.checkpoint.file.open("rb") as file:
        assert file.read() == factories.adapter_bytes()
    assert sent.evaluations.get().checkpoint == sent.checkpoint


def test_amending_replaces_what_was_said(owner: User) -> None:
    cost = Cost(Resource.Kind.WALL_TIME, 60, Resource.Basis.DECLARED)
    submission = services.create(draft(owner, costs=[cost], method="First"))
    services.amend(submission, draft(owner, method="Second"))
    submission.refresh_from_db()
    assert submission.method == "Second" and not submission.resources.exists()


def test_another_base_model_is_checked_against_the_files_that_are_there(owner: User) -> None:
    submission = services.create(factories.draft(owner))
    assert codes(submission) == set()
    other = factories.base_model("Other/Model", revision="")
    services.amend(submission, draft(owner, base_model=other))
    assert "adapter_config.base_model" in codes(submission)
    services.amend(submission, draft(owner))
    assert codes(submission) == set()


def test_an_adapter_that_does_not_fit_yet_is_kept_and_a_pickle_is_not(owner: User, storage: Path) -> None:
    wrong = Files(BytesIO(factories.adapter_bytes()), len(factories.adapter_bytes()), b"{}")
    submission = services.create(draft(owner, files=wrong))
    assert submission.adapter_file and len(stored(storage)) == 1
    pickle = Files(BytesIO(b"PK\x03\x04" + bytes(60)), 64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transaction, "on_commit", lambda act: act())
        services.amend(submission, draft(owner, files=pickle))
    submission.refresh_from_db()
    assert not submission.adapter_file and stored(storage) == []
    assert "file.not_safetensors" in codes(submission)


def test_why_a_file_was_not_kept_is_said_until_another_comes(owner: User) -> None:
    submission = services.create(factories.draft(owner))
    services.amend(submission, draft(owner, files=Files(BytesIO(b"PK\x03\x04" + bytes(60)), 64)))
    services.amend(submission, draft(owner, method="renamed"))
    with pytest.raises(InvalidSubmission) as refusal:
        services.send(submission)
    assert [f.code for f in refusal.value.findings] == ["file.not_safetensors"]
    services.amend(submission, draft(owner, files=replace(sound_files(owner), config=None)))
    assert services.send(submission).status == "queued"


@pytest.mark.parametrize("content", [b"\xff\xfe", b'x = "\0"', b"x" * 2_000_000])
def test_text_that_no_database_could_hold_is_not_kept(owner: User, content: bytes) -> None:
    files = Files(adapter_config=content, config=content)
    submission = services.create(draft(owner, files=files))
    assert submission.config_text == submission.adapter_config_text == ""
    assert codes(submission) & {"config.encoding", "config.syntax", "config.too_large"}


def test_a_draft_with_errors_is_not_sent(owner: User) -> None:
    submission = services.create(draft(owner))
    with pytest.raises(InvalidSubmission) as refusal:
        services.send(submission)
    assert len(refusal.value.findings) >= 3
    submission.refresh_from_db()
    assert submission.status == "received" and not Checkpoint.objects.exists()


def test_what_changed_since_it_was_saved_is_seen_on_sending(owner: User) -> None:
    submission = services.create(factories.draft(owner))
    submission.base_model.active = False
    submission.base_model.save()
    with pytest.raises(InvalidSubmission):
        services.send(submission)
    assert codes(submission) == {"submission.base_model_closed"}


def test_a_draft_is_sent_once(owner: User) -> None:
    submission = services.create(factories.draft(owner))
    services.send(submission)
    for step in (services.send, services.delete, lambda s: services.amend(s, draft(owner))):
        with pytest.raises(TransitionRefused):
            step(submission)


def test_a_draft_with_a_file_that_is_known_shares_it(
    owner: User, storage: Path, django_capture_on_commit_callbacks: Any
) -> None:
    factories.submission(owner)
    submission = services.create(factories.draft(owner, method="again"))
    assert len(stored(storage)) == 2
    with django_capture_on_commit_callbacks(execute=True):
        sent = services.send(submission)
    assert Checkpoint.objects.count() == 1 and len(stored(storage)) == 1
    assert sent.checkpoint == Checkpoint.objects.get()


def test_a_finished_upload_becomes_the_checkpoint_without_a_copy(
    owner: User, storage: Path, django_capture_on_commit_callbacks: Any
) -> None:
    content = factories.adapter_bytes()
    name = default_storage.save("uploads/whole", ContentFile(content))
    upload = Files(None, len(content), factories.config_bytes(), factories.PYPROJECT, stored_as=name)
    with django_capture_on_commit_callbacks(execute=True):
        submission = services.submit(draft(owner, files=upload))
    assert submission.checkpoint and submission.checkpoint.file.name == name
    assert len(stored(storage)) == 1


def test_a_refused_upload_stays_its_owners(owner: User, storage: Path) -> None:
    name = default_storage.save("uploads/whole", ContentFile(factories.adapter_bytes()))
    upload = Files(None, len(factories.adapter_bytes()), b"{}", b"= 1", stored_as=name)
    with pytest.raises(InvalidSubmission):
        services.submit(draft(owner, files=upload))
    assert default_storage.exists(name)


def test_deleting_a_draft_leaves_nothing(
    owner: User, storage: Path, django_capture_on_commit_callbacks: Any
) -> None:
    submission = services.create(factories.draft(owner))
    with django_capture_on_commit_callbacks(execute=True):
        services.delete(submission)
    assert stored(storage) == []
    assert not any(model.objects.exists() for model in (Submission, Finding, Resource, DeclaredScore))


def test_drafts_that_nobody_touches_for_a_month_are_deleted(
    owner: User, storage: Path, django_capture_on_commit_callbacks: Any
) -> None:
    old, young = services.create(factories.draft(owner)), services.create(draft(owner))
    sent = factories.submission(owner, method="sent")
    long_ago = timezone.now() - timedelta(days=31)
    Submission.objects.filter(pk__in=[old.pk, sent.pk]).update(edited_at=long_ago)
    with django_capture_on_commit_callbacks(execute=True):
        assert services.expire_drafts() == 1
    assert set(Submission.objects.all()) == {young, sent}
    assert len(stored(storage)) == 1


def test_a_team_has_a_bounded_number_of_drafts(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotas, "OPEN_DRAFTS", 1)
    services.create(draft(owner))
    with pytest.raises(InvalidSubmission) as refusal:
        services.create(draft(owner))
    assert [f.code for f in refusal.value.findings] == ["submission.too_many_drafts"]


def test_a_failure_while_amending_leaves_the_draft_and_its_file(
    owner: User, storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submission = services.create(factories.draft(owner))
    before = stored(storage)

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the database went away")

    monkeypatch.setattr("portal.intake.services.Resource.objects.bulk_create", broken)
    files = sound_files(owner)
    with pytest.raises(RuntimeError):
        services.amend(submission, draft(owner, files=files, method="other"))
    submission.refresh_from_db()
    assert submission.method == "FedAvg" and stored(storage) == before


# What the database itself refuses


@pytest.mark.parametrize(
    "change",
    [
        {"challenge": "code"},
        {"config_text": "x"},
        {"adapter_config_text": "x"},
        {"method_card": {}},
        {"origin": "x"},
        {"sent_at": None},
        {"kind": "reference"},
        {"adapter_file": "x"},
    ],
)
def test_nothing_of_a_sent_submission_changes(owner: User, change: dict[str, Any]) -> None:
    submission = factories.submission(owner)
    with pytest.raises(Exception, match=r"Cannot update|submission_file_while_draft"), transaction.atomic():
        Submission.objects.filter(pk=submission.pk).update(**change)


@pytest.mark.parametrize("related", ["findings", "resources", "declared_scores"])
def test_what_belongs_to_a_sent_submission_neither_changes_nor_goes(owner: User, related: str) -> None:
    from evaluation.inspection.declared import DeclaredScore as Declared

    costs = [Cost(Resource.Kind.COMMUNICATION, 1, Resource.Basis.DECLARED)]
    scores = [Declared("fpb", Decimal("1.23"))]
    submission = factories.submission(owner, costs=costs, declared_scores=scores)
    rows = getattr(submission, related).all()
    assert rows
    with pytest.raises(ProgrammingError, match="was sent"), transaction.atomic():
        rows.delete()
    with pytest.raises(ProgrammingError, match="was sent"), transaction.atomic():
        rows.update(submission=submission)


def test_only_drafts_are_deleted(owner: User) -> None:
    submission = factories.submission(owner)
    submission.evaluations.all().delete()
    with pytest.raises(ProgrammingError, match="Cannot delete"), transaction.atomic():
        Submission.objects.filter(pk=submission.pk)._raw_delete("default")


# In the browser


def form(owner: User, **changes: Any) -> dict[str, Any]:
    return {
        "challenge": "finance",
        "base_model": factories.base_model().pk,
        "team": personal_team(owner).pk,
        "not_trained_on_test_items": "on",
        "method": "FedAvg, rank 4",
        **changes,
    }


def test_the_form_saves_a_draft_and_goes_on_with_it(as_owner: Client, owner: User) -> None:
    as_owner.post("/submit/", form(owner, action="save", communication_gb="0.5", score_fpb="75.50"))
    submission = Submission.objects.get()
    listed = as_owner.get("/submissions/").content.decode()
    assert "draft" in listed and f"/submissions/{submission.pk}/edit/" in listed
    page = as_owner.get(f"/submissions/{submission.pk}/").content.decode()
    assert "This file is missing" in page and "/send/" in page and "deleted when nobody touches it" in page

    editing = as_owner.get(f"/submissions/{submission.pk}/edit/").content.decode()
    assert 'value="0.5"' in editing and 'value="75.50"' in editing
    response = as_owner.post(
        f"/submissions/{submission.pk}/edit/", form(owner, **factories.uploads(), action="send")
    )
    assert response["Location"] == f"/submissions/{submission.pk}/"
    submission.refresh_from_db()
    assert submission.status == "queued"


def test_files_need_not_be_chosen_again(as_owner: Client, owner: User) -> None:
    as_owner.post("/submit/", form(owner, **factories.uploads(), action="save"))
    submission = Submission.objects.get()
    assert "The draft has this file" in as_owner.get(f"/submissions/{submission.pk}/edit/").content.decode()
    as_owner.post(f"/submissions/{submission.pk}/edit/", form(owner, method="Renamed", action="send"))
    submission.refresh_from_db()
    assert (submission.status, submission.method) == ("queued", "Renamed")


def test_what_stands_against_sending_is_shown_with_what_was_saved(as_owner: Client, owner: User) -> None:
    as_owner.post("/submit/", form(owner, action="save"))
    submission = Submission.objects.get()
    files = factories.uploads(config=b"[]")
    response = as_owner.post(f"/submissions/{submission.pk}/edit/", form(owner, **files, action="send"))
    assert response.status_code == 422
    assert "The draft is saved, not submitted" in response.content.decode()
    assert "adapter_config.json" in {f.code for f in response.context["findings"]}
    response = as_owner.post(f"/submissions/{submission.pk}/send/")
    assert response.status_code == 422


def test_deleting_a_draft_asks_first(as_owner: Client, owner: User) -> None:
    submission = services.create(draft(owner))
    assert as_owner.get(f"/submissions/{submission.pk}/withdraw/")["Location"].endswith("/delete/")
    assert "are gone then" in as_owner.get(f"/submissions/{submission.pk}/delete/").content.decode()
    assert Submission.objects.exists()
    as_owner.post(f"/submissions/{submission.pk}/delete/")
    assert not Submission.objects.exists()


@pytest.mark.parametrize("path", ["edit", "send", "delete"])
def test_a_draft_is_its_teams(
    as_stranger: Client, as_reviewer: Client, owner: User, stranger: User, path: str
) -> None:
    submission = services.create(draft(owner))
    address = f"/submissions/{submission.pk}/{path}/"
    assert as_stranger.post(address).status_code == as_reviewer.post(address).status_code == 404
    Membership.objects.create(team=personal_team(owner), user=stranger)
    assert as_stranger.post(address).status_code in (302, 422)


def test_nobody_moves_a_draft_to_a_strangers_team(as_owner: Client, owner: User, stranger: User) -> None:
    submission = services.create(draft(owner))
    response = as_owner.post(
        f"/submissions/{submission.pk}/edit/", form(owner, team=personal_team(stranger).pk, action="save")
    )
    assert response.status_code == 422 and "team" in response.context["form"].errors


def test_a_sent_submission_is_edited_no_more(as_owner: Client, owner: User) -> None:
    submission = factories.submission(owner)
    for path in ("edit", "send", "delete"):
        assert as_owner.post(f"/submissions/{submission.pk}/{path}/").status_code == 404


# With an upload that is finished already


@pytest.fixture
def upload(owner: User) -> Upload:
    """A finished upload of the sound adapter, as a browser leaves it behind before it sends the form."""
    content = factories.adapter_bytes()
    name = default_storage.save("uploads/whole", ContentFile(content))
    return Upload.objects.create(
        user=owner,
        name="adapter_model.safetensors",
        length=len(content),
        offset=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        file=name,
        expires_at=timezone.now() + timedelta(hours=1),
        completed_at=timezone.now(),
    )


def with_upload(owner: User, upload: Upload, **changes: Any) -> dict[str, Any]:
    files = {name: file for name, file in factories.uploads().items() if name != "adapter_model"}
    return form(owner, **{**files, "adapter_upload": str(upload.pk), **changes})


def test_the_form_takes_a_finished_upload_for_the_adapter(
    as_owner: Client, owner: User, upload: Upload
) -> None:
    assert as_owner.post("/submit/", with_upload(owner, upload)).status_code == 302
    submission = Submission.objects.get()
    assert submission.checkpoint and submission.checkpoint.file.name == upload.file
    upload.refresh_from_db()
    assert upload.consumed_at


def test_a_refused_form_keeps_the_upload_for_the_next_attempt(
    as_owner: Client, owner: User, upload: Upload
) -> None:
    broken = factories.uploads(config=b"[]")["adapter_config"]
    response = as_owner.post("/submit/", with_upload(owner, upload, adapter_config=broken))
    html = response.content.decode()
    assert response.status_code == 422 and str(upload.pk) in html and "The upload is kept" in html
    assert as_owner.post("/submit/", with_upload(owner, upload)).status_code == 302


def finished(owner: User, content: bytes) -> Upload:
    name = default_storage.save("uploads/other", ContentFile(content))
    return Upload.objects.create(
        user=owner,
        name="adapter_model.safetensors",
        length=len(content),
        offset=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        file=name,
        expires_at=timezone.now() + timedelta(days=1),
        completed_at=timezone.now(),
    )


def test_a_refused_form_keeps_no_upload_that_is_of_no_use(
    as_owner: Client, owner: User, storage: Path
) -> None:
    upload = finished(owner, b"PK\x03\x04" + bytes(60))
    response = as_owner.post("/submit/", with_upload(owner, upload))
    html = response.content.decode()
    assert response.status_code == 422 and "file.not_safetensors" in html
    assert str(upload.pk) not in html and "The upload is kept" not in html
    assert not Upload.objects.exists() and not any(path.is_file() for path in storage.rglob("*"))


def test_refused_forms_leave_room_for_uploads(as_owner: Client, owner: User, upload: Upload) -> None:
    def refuse(sent: Upload) -> None:
        broken = factories.uploads(config=b"[]")["adapter_config"]
        assert as_owner.post("/submit/", with_upload(owner, sent, adapter_config=broken)).status_code == 422

    refuse(upload)
    others = [finished(owner, factories.adapter_bytes(seed)) for seed in (1, 2)]
    for other in others:
        refuse(other)
    (kept,) = Upload.objects.all()
    assert kept == others[-1] and kept.expires_at < timezone.now() + timedelta(hours=2)


def test_an_upload_completes_a_draft(as_owner: Client, owner: User, upload: Upload) -> None:
    submission = services.create(draft(owner))
    as_owner.post(f"/submissions/{submission.pk}/edit/", with_upload(owner, upload, action="save"))
    submission.refresh_from_db()
    assert submission.adapter_file.name == upload.file and codes(submission) == set()


def test_nobody_submits_an_upload_of_somebody_else_or_twice(
    as_owner: Client, as_stranger: Client, owner: User, stranger: User, upload: Upload
) -> None:
    response = as_stranger.post("/submit/", with_upload(stranger, upload))
    assert response.status_code == 422 and "no upload with this id" in response.content.decode()
    assert str(upload.pk) not in response.content.decode()
    as_owner.post("/submit/", with_upload(owner, upload))
    response = as_owner.post("/submit/", with_upload(owner, upload))
    assert response.status_code == 422 and "took this upload already" in response.content.decode()
    assert Submission.objects.count() == 1
