"""Backups in a bucket of S3 or what speaks like it, laid out as in a folder.

A backup counts once its SHA256SUMS is there, which is sent last; parts without it were broken off. S3 has no
locks, so the site's database says that one is being made. The parts go through a temporary folder, which
needs room for the database's dump and for the largest stored file.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.db import connection

from portal.environment import Environment
from portal.management.backups import contents
from portal.management.backups.contents import NAME, SUMS, Backup, BackupError
from portal.management.backups.place import Place

_PIECE = 1024**2
_IN_MEMORY = 16 * 1024**2
_ABSENT = ("NoSuchKey", "NoSuchUpload", "404")


@dataclass(frozen=True)
class Bucket(Place):
    """What of a bucket lies under a prefix, which is empty or ends in a slash."""

    client: Any
    bucket: str
    prefix: str

    @classmethod
    def of(cls, bucket: str, prefix: str, profile: str, site: Environment) -> Bucket:
        """Reached as a profile of AWS's files says, else as the site's storage is, else as boto3 finds."""
        prefix = f"{prefix.strip('/')}/".lstrip("/")
        if profile:
            given: dict[str, Any] = {}
        elif bucket == site.s3_bucket:
            raise BackupError(f"{bucket} is the site's own storage. Keep backups in another bucket.")
        else:
            given = {
                "endpoint_url": site.s3_endpoint_url,
                "region_name": site.s3_region,
                "aws_access_key_id": site.s3_access_key_id,
                "aws_secret_access_key": site.s3_secret_access_key,
            }
            if site.s3_addressing_style:
                given["config"] = Config(s3={"addressing_style": site.s3_addressing_style})
        with _refusals(f"s3://{bucket}/{prefix}"):
            session = boto3.session.Session(profile_name=profile or None)
            client = session.client("s3", **{name: value for name, value in given.items() if value})
        return cls(client, bucket, prefix)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    @contextmanager
    def locked(self) -> Iterator[None]:
        lock = [f"backup to {self}"]
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(hashtext(%s))", lock)
            if not cursor.fetchone()[0]:
                raise BackupError(f"Another backup to {self} is being made.")
            try:
                self._remove_broken_off()
                yield
            finally:
                cursor.execute("SELECT pg_advisory_unlock(hashtext(%s))", lock)

    def names(self) -> list[str]:
        return sorted(name for name in self._begun() if any(self._sizes(f"{name}/{SUMS}")))

    @contextmanager
    def read(self, name: str, *parts: str) -> Iterator[Backup]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder)
            for key, _ in self._sizes(f"{name}/"):
                part = key.rpartition("/")[2]
                if not parts or part in parts:
                    with self._asked():
                        self.client.download_file(self.bucket, key, str(path / part))
            yield self._backup(name, path)

    @contextmanager
    def begin(self, moment: datetime) -> Iterator[Path]:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)

    def complete(self, draft: Path, moment: datetime) -> Backup:
        name = contents.name_of(moment)
        if name in self.names():
            raise BackupError(f"There is a backup {self}/{name} already; wait a second.")
        for part in contents.write_sums(draft):
            with self._asked():
                self.client.upload_file(str(draft / part), self.bucket, f"{self.prefix}{name}/{part}")
        return self._backup(name, draft)

    def has(self, sha256: str, size: int) -> bool:
        return self._kept.get(bytes.fromhex(sha256)) == size

    def copy_in(self, source: IO[bytes]) -> tuple[str, int, int]:
        digest, size = hashlib.sha256(), 0
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as draft:
            while piece := source.read(_PIECE):
                digest.update(piece)
                size += draft.write(piece)
            is_new = not self.has(digest.hexdigest(), size)
            if is_new:
                draft.seek(0)
                with self._asked():
                    self.client.upload_fileobj(draft, self.bucket, self._key(digest.hexdigest()))
                self._kept[digest.digest()] = size
        return digest.hexdigest(), size, size if is_new else 0

    def opened(self, sha256: str) -> IO[bytes]:
        # Whole before any of it is read: a transfer that breaks is tried again from where it was.
        file: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115
        try:
            with self._asked():
                self.client.download_fileobj(self.bucket, self._key(sha256), file)
        except BaseException:
            file.close()
            raise
        file.seek(0)
        return file

    def remove_but(self, keep: int) -> list[str]:
        old = self.names()[:-keep]
        for name in old:
            self._delete(f"{self.prefix}{name}/{SUMS}")  # first: what is half removed must not look whole
            self._delete_all(f"{name}/")
        if old:
            needed: set[bytes] = set()
            for name in self.names():
                with self.read(name, contents.LIST) as backup:
                    needed |= {bytes.fromhex(file.sha256) for file in backup.files()}
            for digest in self._kept.keys() - needed:
                self._delete(self._key(digest.hex()))
                del self._kept[digest]
        return old

    @cached_property
    def _kept(self) -> dict[bytes, int]:
        """Sizes of the stored files by digest: listing them takes one request for a thousand."""
        return {bytes.fromhex(key.rpartition("/")[2]): size for key, size in self._sizes("files/")}

    def _backup(self, name: str, path: Path) -> Backup:
        return Backup(name, path, f"{self}/{name}")

    def _key(self, sha256: str) -> str:
        return f"{self.prefix}files/{sha256[:2]}/{sha256}"

    def _begun(self) -> list[str]:
        """The names of all backups, broken-off ones too."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self.prefix, Delimiter="/"
        )
        with self._asked():
            found = [
                group["Prefix"].removeprefix(self.prefix).rstrip("/")
                for page in pages
                for group in page.get("CommonPrefixes", [])
            ]
        return [name for name in found if NAME.fullmatch(name)]

    def _remove_broken_off(self) -> None:
        whole = set(self.names())
        for name in self._begun():
            if name not in whole:
                self._delete_all(f"{name}/")
        pages = self.client.get_paginator("list_multipart_uploads").paginate(
            Bucket=self.bucket, Prefix=self.prefix
        )
        with self._asked():
            for begun in [begun for page in pages for begun in page.get("Uploads", [])]:
                self.client.abort_multipart_upload(
                    Bucket=self.bucket, Key=begun["Key"], UploadId=begun["UploadId"]
                )

    def _sizes(self, under: str) -> Iterator[tuple[str, int]]:
        """Keys and sizes of all that begins like that behind the prefix."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=f"{self.prefix}{under}"
        )
        with self._asked():
            for page in pages:
                for found in page.get("Contents", []):
                    yield found["Key"], found["Size"]

    def _delete_all(self, under: str) -> None:
        for key, _ in list(self._sizes(under)):
            self._delete(key)

    def _delete(self, key: str) -> None:
        with self._asked():
            self.client.delete_object(Bucket=self.bucket, Key=key)

    def _asked(self) -> Any:
        return _refusals(str(self))


@contextmanager
def _refusals(place: str) -> Iterator[None]:
    """Turn what S3 answers into FileNotFoundError where an object is missing, else into BackupError."""
    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in _ABSENT:
            raise FileNotFoundError(2, "not in the bucket") from error
        raise BackupError(f"{place} refused: {error}") from error
    except (BotoCoreError, Boto3Error) as error:
        raise BackupError(f"{place} cannot be reached: {error}") from error
