"""What a user may send, how much waits at a time, and what becomes of what nobody wants."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from django.utils import timezone

from portal.accounts.models import User
from portal.uploads import folder, receiving, services, store
from portal.uploads.errors import UploadError
from portal.uploads.models import DailyTraffic, Upload
from portal.uploads.slots import slot
from tests.portal.uploads.conftest import CONTENT, Tus, digest

pytestmark = pytest.mark.django_db

Stored = Callable[[], list[bytes]]


def complete(tus: Tus, content: bytes = CONTENT) -> UUID:
    address = tus.create(len(content), body=content)["Location"]
    return UUID(address.rstrip("/").rpartition("/")[2])


def code_of(step: Callable[[], object]) -> str:
    with pytest.raises(UploadError) as caught:
        step()
    return caught.value.code


def test_only_so_many_uploads_wait_at_a_time(tus: Tus, strangers_tus: Tus, settings: Any) -> None:
    settings.UPLOADS_OPEN = 2
    first = tus.begin()
    tus.begin()
    refused = tus.create()
    assert refused.status_code == 429
    assert refused.json()["findings"][0]["code"] == "upload.too_many_open"
    assert strangers_tus.create().status_code == 201
    tus.call("DELETE", first)
    assert tus.create().status_code == 201


def test_waiting_uploads_are_only_so_large_together(tus: Tus, settings: Any) -> None:
    settings.UPLOAD_OPEN_BYTES = 100
    tus.begin(60)
    refused = tus.create(41)
    assert refused.status_code == 429 and refused.json()["findings"][0]["code"] == "upload.open_bytes"
    assert tus.create(40).status_code == 201


def test_a_day_has_an_amount_that_cancelling_does_not_give_back(tus: Tus, owner: User, settings: Any) -> None:
    settings.UPLOAD_DAILY_BYTES = 100
    address = tus.begin(60)
    tus.send(address, b"x" * 50)
    assert tus.send(address, b"x" * 10, 50, Upload_Checksum=digest(b"other")).status_code == 460
    tus.call("DELETE", address)
    assert DailyTraffic.objects.get(user=owner).received == 60
    refused = tus.create(41)
    assert refused.status_code == 429 and refused.json()["findings"][0]["code"] == "upload.daily_bytes"
    assert 0 < int(refused["Retry-After"]) <= 86_400
    address = tus.begin(40)
    tus.send(address, b"x" * 30)
    DailyTraffic.objects.update(received=95)
    assert tus.send(address, b"x" * 10, 30).status_code == 429
    DailyTraffic.objects.update(day=timezone.now().date() - timedelta(days=1))
    assert tus.send(address, b"x" * 10, 30).status_code == 204


def test_only_so_many_requests_send_at_a_time(tus: Tus, owner: User, settings: Any, stored: Stored) -> None:
    settings.UPLOAD_STREAMS = 4
    address = tus.begin()
    with slot(owner.pk), slot(owner.pk):
        refused = tus.send(address, b"x")
        assert refused.status_code == 429 and refused["Retry-After"] == "2"
        assert tus.create(body=b"x").status_code == 429
        with slot(-1), slot(-1):
            assert code_of(lambda: slot(-2).__enter__()) == "upload.no_slot"
    assert tus.send(address, b"x").status_code == 204
    assert stored() == [b"x"]


def test_what_expired_is_deleted_with_its_bytes(tus: Tus, owner: User, stored: Stored) -> None:
    expired, fresh, taken = complete(tus, b"old"), complete(tus, b"new"), complete(tus, b"taken")
    half = UUID(tus.create(10, body=b"half")["Location"].rstrip("/").rpartition("/")[2])
    services.take(owner, taken)
    past = timezone.now() - timedelta(seconds=1)
    Upload.objects.filter(pk__in=[expired, half, taken]).update(expires_at=past)
    assert services.expire() == 2
    assert set(Upload.objects.values_list("pk", flat=True)) == {fresh, taken}
    assert sorted(stored()) == [b"new", b"taken"]
    Upload.objects.update(consumed_at=None)
    Upload.objects.filter(pk=taken).update(consumed_at=timezone.now() - timedelta(days=8))
    services.expire()
    assert list(Upload.objects.values_list("pk", flat=True)) == [fresh]
    assert sorted(stored()) == [b"new", b"taken"], "a submission's file stays"


def test_a_killed_deletion_is_ended_by_the_next(
    tus: Tus, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = tus.begin()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(folder.FolderStore, "delete", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        services.discard(Upload.objects.get())
    assert tus.call("HEAD", address).status_code == 404 and stored() == [b""]
    assert services.expire() == 1
    assert stored() == [] and not Upload.objects.exists()


def test_uploads_of_deleted_users_go(tus: Tus, owner: User, stored: Stored) -> None:
    complete(tus)
    owner.memberships.all().delete()
    owner.delete()
    services.expire()
    assert stored() == [] and not Upload.objects.exists()


def test_a_complete_upload_is_taken_once(tus: Tus, owner: User, stored: Stored) -> None:
    upload = complete(tus)
    taken = services.take(owner, upload)
    assert (taken.name, taken.size) == ("adapter_model.safetensors", len(CONTENT))
    assert f"sha256 {taken.sha256}" and taken.stored_as == Upload.objects.get().file
    assert code_of(lambda: services.take(owner, upload)) == "upload.consumed"
    address = f"/api/v1/uploads/{upload}/"
    for answer in (
        tus.call("HEAD", address),
        tus.send(address, b"x", len(CONTENT)),
        tus.call("DELETE", address),
    ):
        assert answer.status_code == 410
    services.discard(Upload.objects.get())
    assert stored() == [CONTENT]


def test_a_submission_that_is_rolled_back_gives_the_upload_back(tus: Tus, owner: User) -> None:
    upload = complete(tus)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        services.take(owner, upload)
        raise ZeroDivisionError
    assert services.take(owner, upload)


def test_only_complete_uploads_of_ones_own_are_taken(tus: Tus, owner: User, stranger: User) -> None:
    upload = complete(tus)
    assert code_of(lambda: services.take(stranger, upload)) == "upload.unknown"
    assert code_of(lambda: services.take(owner, uuid4())) == "upload.unknown"
    tus.begin()
    half = Upload.objects.get(completed_at=None)
    assert code_of(lambda: services.take(owner, half.pk)) == "upload.incomplete"
    Upload.objects.update(expires_at=timezone.now())
    assert code_of(lambda: services.take(owner, upload)) == "upload.gone"
    services.discard(half)
    assert code_of(lambda: services.take(owner, half.pk)) == "upload.unknown"


# --- Storage under the offset ---------------------------------------------------------------------


def path_of(storage: Path, upload: Upload) -> Path:
    return storage / upload.file


def test_bytes_past_the_recorded_offset_are_dropped(tus: Tus, storage: Path, stored: Stored) -> None:
    """A server that is killed between the two writes bytes that it never recorded."""
    address = tus.begin()
    tus.send(address, CONTENT[:100])
    with path_of(storage, Upload.objects.get()).open("ab") as file:
        file.write(b"never recorded" * 1000)
    assert tus.send(address, CONTENT[100:], 100).status_code == 204
    assert stored() == [CONTENT]
    assert digest(CONTENT).startswith("sha256") and Upload.objects.get().is_complete


def test_lost_bytes_are_noticed(tus: Tus, storage: Path, stored: Stored) -> None:
    address = tus.begin()
    tus.send(address, CONTENT[:100])
    path_of(storage, Upload.objects.get()).write_bytes(b"short")
    assert tus.send(address, CONTENT[100:], 100).status_code == 410
    assert stored() == [] and tus.call("HEAD", address).status_code == 404


def test_a_full_disk_is_said_and_what_arrived_is_kept(
    tus: Tus, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = tus.begin(3 * store.READ_BYTES)
    body, write = bytes(3 * store.READ_BYTES), folder._FileWriter.write
    written: list[int] = []

    def fill(writer: folder._FileWriter, data: bytes) -> None:
        written.append(len(data))
        if len(written) == 3:
            raise store.storage_full()
        write(writer, data)

    with monkeypatch.context() as patch:
        patch.setattr(folder._FileWriter, "write", fill)
        refused = tus.send(address, body)
        assert refused.status_code == 507 and refused["Retry-After"]
    assert tus.offset(address) == 2 * store.READ_BYTES
    assert tus.send(address, body[tus.offset(address) :], tus.offset(address)).status_code == 204
    assert stored() == [body]


class Broken:
    """A request's body whose connection breaks after some bytes."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self, size: int) -> bytes:
        if not self._content:
            raise ConnectionResetError
        data, self._content = self._content[:size], self._content[size:]
        return data


def test_what_came_before_a_broken_connection_is_kept(tus: Tus, stored: Stored) -> None:
    address = tus.begin()
    broken = Broken(CONTENT[:70])
    step = lambda: receiving.receive(Upload.objects.get(), broken, len(CONTENT), offset=0)  # noqa: E731
    assert code_of(step) == "upload.cut_off"
    assert tus.offset(address) == 70
    assert tus.send(address, CONTENT[70:], 70).status_code == 204 and stored() == [CONTENT]


def test_a_broken_connection_keeps_nothing_that_a_checksum_was_to_cover(tus: Tus, stored: Stored) -> None:
    address = tus.begin()
    checksum = receiving.Checksum("sha1", bytes(20))
    broken = Broken(CONTENT[:70])
    step = lambda: receiving.receive(  # noqa: E731
        Upload.objects.get(), broken, len(CONTENT), offset=0, checksum=checksum
    )
    assert code_of(step) == "upload.cut_off"
    assert tus.offset(address) == 0
    assert tus.send(address, CONTENT).status_code == 204 and stored() == [CONTENT]


class Held:
    """A request's body that waits in the middle for something to happen elsewhere."""

    def __init__(self, content: bytes, meanwhile: Callable[[], object]) -> None:
        self._pieces = [content[:10], content[10:], b""]
        self._meanwhile = meanwhile

    def read(self, size: int) -> bytes:
        piece = self._pieces.pop(0)
        assert len(piece) <= size
        if len(self._pieces) == 1:
            self._meanwhile()
        return piece


def test_of_two_requests_that_race_one_wins(tus: Tus, stored: Stored) -> None:
    address = tus.begin()
    answers: list[Any] = []
    body = Held(CONTENT, lambda: answers.append(tus.send(address, b"z" * len(CONTENT))))
    receiving.receive(Upload.objects.get(), body, len(CONTENT), offset=0)
    assert answers[0].status_code == 423 and answers[0]["Retry-After"] == "1"
    assert stored() == [CONTENT] and Upload.objects.get().is_complete


def test_cancelling_ends_a_request_that_is_sending(tus: Tus, stored: Stored) -> None:
    address = tus.begin()
    body = Held(CONTENT, lambda: tus.call("DELETE", address))
    step = lambda: receiving.receive(Upload.objects.get(), body, len(CONTENT), offset=0)  # noqa: E731
    assert code_of(step) == "upload.gone"
    assert stored() == [] and not Upload.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_many_threads_make_one_file(tus: Tus, stored: Stored) -> None:
    address = tus.begin()
    statuses: list[int] = []

    def send() -> None:
        from django.db import connection

        try:
            statuses.append(tus.send(address, CONTENT).status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses.count(204) == 1 and set(statuses) <= {204, 409, 423}
    assert stored() == [CONTENT]
