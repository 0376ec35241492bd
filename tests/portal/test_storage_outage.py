"""A full disk or a storage that is away costs a later try: no half file stays, nothing is half made."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile, File
from django.test import Client

from portal.accounts.models import User, personal_team
from portal.intake import services
from portal.outages.causes import StorageError
from portal.submissions.models import Checkpoint, Submission
from portal.uploads.whole_files import WholeFileStorage
from tests.portal import factories
from tests.small_disk import fill, small_disk

__all__ = ["small_disk"]

_MIB = 1024**2


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_full_disk_keeps_no_beginning_of_a_file(small_disk: Path) -> None:
    storage = WholeFileStorage(location=small_disk)
    kept = storage.save("a/kept.bin", ContentFile(b"x" * 1000))
    with pytest.raises(StorageError, match="No space left"):
        storage.save("a/large.bin", File(BytesIO(bytes(2 * _MIB))))
    assert files_in(small_disk) == [small_disk / kept]
    assert (small_disk / kept).read_bytes() == b"x" * 1000


def test_two_files_of_one_name_are_both_kept(tmp_path: Path) -> None:
    storage = WholeFileStorage(location=tmp_path)
    first, second = (storage.save("a.txt", ContentFile(text)) for text in (b"1", b"2"))
    assert first == "a.txt" != second and (tmp_path / second).read_bytes() == b"2"
    assert len(files_in(tmp_path)) == 2


@pytest.fixture
def full_storage(small_disk: Path, settings: Any) -> Path:
    """The site's storage on a disk with no room; the file `filling` takes it."""
    there = {**settings.STORAGES["default"], "OPTIONS": {"location": small_disk}}
    settings.STORAGES = {**settings.STORAGES, "default": there}
    filling = small_disk / "filling"
    fill(filling)
    return filling


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("action", ["send", "save"])
def test_a_form_sent_meanwhile_is_asked_for_again_and_nothing_is_half_made(
    full_storage: Path, owner: User, as_owner: Client, action: str
) -> None:
    as_owner.raise_request_exception = False
    answer = as_owner.post("/submit/", form(owner, action))
    assert answer.status_code == 503 and int(answer["Retry-After"]) > 0
    assert not Submission.objects.exists() and not Checkpoint.objects.exists()
    assert files_in(full_storage.parent) == [full_storage]
    full_storage.unlink()
    assert as_owner.post("/submit/", form(owner, action)).status_code == 302
    assert Submission.objects.get().status == ("queued" if action == "send" else "received")


@pytest.mark.django_db(transaction=True)
def test_a_draft_stays_as_it_is_where_its_new_file_has_no_room(full_storage: Path, owner: User) -> None:
    full_storage.unlink()
    draft = services.create(factories.draft(owner))
    before = (draft.adapter_file.name, draft.edited_at)
    fill(full_storage)
    with pytest.raises(StorageError):
        services.amend(draft, factories.draft(owner, method="Another"))
    draft.refresh_from_db()
    assert (draft.adapter_file.name, draft.edited_at) == before and draft.method != "Another"
    assert services.send(draft).status == "queued", "reading and the database need no room"


@pytest.mark.django_db(transaction=True)
def test_a_storage_that_is_away_is_no_fault_of_the_draft(storage: Path, owner: User) -> None:
    draft = services.create(factories.draft(owner))
    away = storage.rename(storage.with_name("away"))
    with pytest.raises(StorageError):
        services.send(draft)
    away.rename(storage)
    assert services.send(draft).status == "queued"


def form(owner: User, action: str) -> dict[str, Any]:
    return {
        "challenge": "finance",
        "base_model": factories.base_model().pk,
        "team": personal_team(owner).pk,
        "not_trained_on_test_items": "on",
        "method": "FedAvg",
        "action": action,
        **factories.uploads(),
    }
