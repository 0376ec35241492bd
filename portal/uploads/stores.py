"""Which store the site's storage is."""

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import FileSystemStorage, default_storage

from portal.uploads.folder import FolderStore
from portal.uploads.store import Store


def current_store() -> Store:
    """The store of the default storage. Raises ImproperlyConfigured for one that takes no pieces."""
    if isinstance(default_storage, FileSystemStorage):
        return FolderStore(default_storage)
    if type(default_storage._wrapped).__module__.startswith("storages.backends.s3"):  # type: ignore[attr-defined]
        from portal.uploads.s3 import S3Store  # boto3 is installed only where S3 is used

        return S3Store(default_storage)
    raise ImproperlyConfigured("The default storage must be a folder or S3 to take resumable uploads.")
