"""Uploads to S3 over HTTP, against moto's server on loopback."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from django.core.files.storage import default_storage
from django.utils import timezone

from portal.accounts.models import User
from portal.uploads import running_digests, services
from portal.uploads.errors import UploadError
from portal.uploads.models import Upload
from portal.uploads.stores import current_store
from tests import buckets
from tests.portal.uploads.conftest import Tus, digest

pytestmark = pytest.mark.django_db

PART = 8 * 1024**2
CONTENT = b"".join(hashlib.sha512(str(n).encode()).digest() for n in range(20 * 1024**2 // 64)) + b"the rest"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with buckets.s3_server() as address:
        yield address


@pytest.fixture(autouse=True)
def bucket(endpoint: str, settings: Any, storage: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A bucket of the test behind the settings that an operator would make."""
    settings.STORAGES = {**settings.STORAGES, "default": buckets.environment(endpoint, "adapters").storage()}
    made = connection().create_bucket(Bucket="adapters")
    yield made
    made.objects.all().delete()
    for begun in made.multipart_uploads.all():
        begun.abort()
    made.delete()


def connection() -> Any:
    storage: Any = default_storage
    return storage.connection


def stored(bucket: Any) -> dict[str, bytes]:
    return {item.key: item.get()["Body"].read() for item in bucket.objects.all()}


def begun(bucket: Any) -> int:
    return len(list(bucket.multipart_uploads.all()))


def test_a_large_file_becomes_one_object(tus: Tus, bucket: Any, owner: User) -> None:
    address = tus.begin(len(CONTENT))
    assert tus.send(address, CONTENT).status_code == 204
    upload = Upload.objects.get()
    assert upload.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert stored(bucket) == {upload.file: CONTENT} and begun(bucket) == 0
    taken = services.take(owner, upload.pk)
    with default_storage.open(taken.stored_as) as file:
        assert file.read() == CONTENT


def test_a_small_file_needs_no_parts(tus: Tus, bucket: Any) -> None:
    assert tus.create(5, body=b"small").status_code == 201
    assert stored(bucket) == {Upload.objects.get().file: b"small"} and begun(bucket) == 0


def test_pieces_of_any_size_make_the_file(tus: Tus, bucket: Any) -> None:
    address, offset = tus.begin(len(CONTENT)), 0
    for size in (1, 1000, PART - 1, 3 * 1024**2, PART + 5, len(CONTENT)):
        piece = CONTENT[offset : offset + size]
        assert tus.send(address, piece, offset).status_code == 204
        offset += len(piece)
    assert stored(bucket) == {Upload.objects.get().file: CONTENT} and begun(bucket) == 0


def test_a_restarted_server_goes_on_and_knows_the_digest(tus: Tus, bucket: Any) -> None:
    address = tus.begin(len(CONTENT))
    tus.send(address, CONTENT[: PART + 17])
    running_digests.forget(Upload.objects.get().pk)
    assert tus.send(address, CONTENT[PART + 17 :], PART + 17).status_code == 204
    assert Upload.objects.get().sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert stored(bucket) == {Upload.objects.get().file: CONTENT}


def test_a_refused_checksum_leaves_the_recorded_parts_alone(tus: Tus, bucket: Any) -> None:
    address = tus.begin(len(CONTENT))
    tus.send(address, CONTENT[:PART])
    wrong = bytes(len(CONTENT) - PART)
    assert tus.send(address, wrong, PART, Upload_Checksum=digest(CONTENT)).status_code == 460
    assert tus.offset(address) == PART
    rest = CONTENT[PART:]
    assert tus.send(address, rest, PART, Upload_Checksum=digest(rest)).status_code == 204
    assert stored(bucket) == {Upload.objects.get().file: CONTENT} and begun(bucket) == 0


def test_of_two_requests_that_race_one_wins(tus: Tus, bucket: Any) -> None:
    address = tus.begin(len(CONTENT))
    upload = Upload.objects.get()
    slow = current_store().writer(upload)
    slow.begin(0, {})
    slow.write(bytes(PART))
    assert tus.send(address, CONTENT).status_code == 204
    with pytest.raises(UploadError):
        slow.write(bytes(PART))  # its multipart upload went with the winner's completion
    assert stored(bucket) == {upload.file: CONTENT} and begun(bucket) == 0


def test_nothing_is_left_of_a_cancelled_upload(tus: Tus, bucket: Any) -> None:
    address = tus.begin(len(CONTENT))
    tus.send(address, CONTENT[: PART + 100])
    assert begun(bucket) == 1 and len(stored(bucket)) == 1
    assert tus.call("DELETE", address).status_code == 204
    assert stored(bucket) == {} and begun(bucket) == 0


def test_what_expired_and_what_nobody_knows_is_deleted(tus: Tus, bucket: Any) -> None:
    address = tus.begin(len(CONTENT))
    tus.send(address, CONTENT[: PART + 100])
    # moto says of every one that it was begun in 2010.
    bucket.Object("uploads/zz/unknown").initiate_multipart_upload()
    services.expire()
    assert [found.object_key for found in bucket.multipart_uploads.all()] == [Upload.objects.get().file]
    Upload.objects.update(expires_at=timezone.now())
    services.expire()
    assert stored(bucket) == {} and begun(bucket) == 0


def test_a_bucket_that_is_away_is_a_temporary_problem(tus: Tus, bucket: Any) -> None:
    address = tus.begin(10)
    bucket.objects.all().delete()
    bucket.delete()
    refused = tus.send(address, b"x" * 10)
    assert refused.status_code == 503 and refused["Retry-After"] == "5"
    assert Upload.objects.filter(pk=UUID(address.rstrip("/").rpartition("/")[2])).exists()
    connection().create_bucket(Bucket="adapters")
    assert tus.send(address, b"x" * 10).status_code == 204
