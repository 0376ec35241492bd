"""Of what the site needs: database, broker, storage, mail and hub answer, and do what they are there for."""

from __future__ import annotations

import shutil
import smtplib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from functools import cache

import httpx
from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Warning
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.mail import get_connection
from django.db import DatabaseError, connection
from django.utils import timezone
from huggingface_hub import constants, get_token

from portal import valkey
from portal.control import versions
from portal.outages.causes import StorageError, storage_access
from portal.site_checks.of_settings import is_on_loopback
from portal.transparency.keys import SealedKeyError, signer
from portal.transparency.models import SigningKey

HUB_SECONDS = 10.0
_PROBE = b"written by manage.py check\n"


def database() -> Iterator[CheckMessage]:
    if (reason := why_database_is_away()) is not None:
        yield Error(
            f"The database does not answer: {reason}",
            hint="Start PostgreSQL, or mend DATABASE_URL. Without one, manage.py serve starts it.",
            id="site.E010",
        )


def migrations() -> Iterator[CheckMessage]:
    if is_database_there() and (misfit := versions.misfit()):
        yield Error(
            f"This code must not work here: {misfit}.",
            hint="Make a backup, run manage.py migrate with the latest release, and install that one here.",
            id="site.E011",
        )


def key() -> Iterator[CheckMessage]:
    """By what the database has sealed with it: a machine without the setting made one for itself."""
    if not is_database_there() or versions.unapplied() or not SigningKey.objects.exists():
        return
    try:
        signer()
    except SealedKeyError as error:
        yield Error(
            "SECRET_KEY is not the one of the site that this database belongs to.",
            hint=f"Give all machines and processes of the site the same one. {error}",
            id="site.E021",
        )


def broker() -> Iterator[CheckMessage]:
    if reason := valkey.why_away(settings.REDIS_URL):
        yield Error(
            f"The broker does not answer: {reason.rstrip('.')}.",
            hint="Start Valkey, or mend REDIS_URL. Without one, manage.py serve starts it.",
            id="site.E012",
        )


def storage() -> Iterator[CheckMessage]:
    """Writes a file, reads it and deletes it."""
    try:
        with storage_access():
            name = default_storage.save(f"probes/{uuid.uuid4().hex}", ContentFile(_PROBE))
            with default_storage.open(name) as file:
                read = file.read()
            default_storage.delete(name)
    except StorageError as error:
        yield Error(
            str(error),
            hint="This user needs room in VAR_DIR/storage and the right to write there; with S3_BUCKET, its "
            "keys need s3:PutObject, s3:GetObject and s3:DeleteObject.",
            id="site.E013",
        )
    else:
        if read != _PROBE:
            yield Error(
                "The storage gives another file than was stored.",
                hint="Replace the disk, or look whether another program writes there.",
                id="site.E014",
            )


def disk() -> Iterator[CheckMessage]:
    folder = next(path for path in (settings.VAR_DIR, *settings.VAR_DIR.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    if free < 2 * settings.SUBMISSION_MAX_BYTES:
        yield Warning(
            f"The disk of VAR_DIR has {free / 1024**3:.1f} GB left, less than two of the largest uploads.",
            hint="Make room, move VAR_DIR, or lower SUBMISSION_MAX_BYTES.",
            id="site.W015",
        )


def mail() -> Iterator[CheckMessage]:
    if not settings.EMAIL_BACKEND.endswith("smtp.EmailBackend"):
        if not is_on_loopback():
            yield Warning(
                "There is no mail server: nobody gets the mail that confirms an address.",
                hint="Set EMAIL_HOST, and EMAIL_USER and EMAIL_PASSWORD where it asks for them.",
                id="site.W016",
            )
        return
    try:
        with get_connection():
            pass
    except (OSError, smtplib.SMTPException) as error:
        yield Error(
            f"The mail server does not take mail: {error}",
            hint="Mend EMAIL_HOST, EMAIL_PORT, EMAIL_TLS, EMAIL_USER or EMAIL_PASSWORD.",
            id="site.E017",
        )


def hub() -> Iterator[CheckMessage]:
    if constants.HF_HUB_OFFLINE:
        return
    answer = hub_answer()
    if answer is None:
        yield Warning(
            f"The model hub at {constants.ENDPOINT} cannot be reached.",
            hint="Workers need it for base models, data and adapters by address: open the way to it, set "
            "HF_ENDPOINT to a mirror, or use folders (add_base_model --path, EVALUATION_DATA).",
            id="site.W018",
        )
    elif answer.status == httpx.codes.UNAUTHORIZED:
        yield Error(
            "The model hub does not know the token.",
            hint="Make a token with the right to read at the hub, and set HF_TOKEN.",
            id="site.E019",
        )
    elif not get_token():
        yield Info(
            "Without a token for the model hub, gated models cannot be fetched.",
            hint="Set HF_TOKEN where workers run, if you want one of them.",
            id="site.I020",
        )


@dataclass(frozen=True)
class HubAnswer:
    """`ahead` is by how much the hub's clock is ahead of this machine's, where it tells."""

    status: int
    ahead: timedelta | None


@cache
def hub_answer() -> HubAnswer | None:
    """What the hub says to who asks whose token this is, or without one to anybody; None where nothing."""
    token = get_token()
    address = f"{constants.ENDPOINT}/api/whoami-v2" if token else constants.ENDPOINT
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        answer = httpx.get(address, headers=headers, timeout=HUB_SECONDS)
    except httpx.HTTPError:
        return None
    told = answer.headers.get("Date")
    return HubAnswer(answer.status_code, parsedate_to_datetime(told) - timezone.now() if told else None)


def is_database_there() -> bool:
    return why_database_is_away() is None


def why_database_is_away() -> str | None:
    """In the words of its client; None where it answers."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        connection.close()
        return next(iter(str(error).splitlines()), "")
    return None
