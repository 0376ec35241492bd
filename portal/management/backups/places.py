"""Which place a target on the command line names."""

from __future__ import annotations

from argparse import ArgumentParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from portal.environment import read_environment
from portal.management.backups.contents import BackupError
from portal.management.backups.folder import Folder
from portal.management.backups.place import Place


def add_arguments(parser: ArgumentParser) -> None:
    """The target, and how its bucket is reached."""
    parser.add_argument("target", metavar="DIR|s3://BUCKET/PREFIX", help="where the backups are kept")
    parser.add_argument(
        "--profile",
        default="",
        metavar="NAME",
        help="reach the bucket by this profile of ~/.aws/config; by default as the site's storage, by S3_…",
    )


def place_at(target: str, profile: str = "") -> Place:
    """A folder, or a bucket with a prefix. Raises BackupError."""
    if "://" not in target:
        return Folder(Path(target).resolve())
    address = urlsplit(target)
    if address.scheme != "s3" or not address.netloc:
        raise BackupError(f"{target} is no place for backups: give a folder, or s3://BUCKET/PREFIX.")
    if find_spec("boto3") is None:
        raise BackupError("Install the packages for S3: pip install '.[s3]'")
    from portal.management.backups.bucket import Bucket  # boto3 is installed only where S3 is used

    return Bucket.of(address.netloc, address.path, profile, read_environment())
