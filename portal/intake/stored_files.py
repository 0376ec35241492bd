"""A submission's files in storage: kept with a draft, then handed to a checkpoint under its digest."""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import asdict

from django.core.files.base import File
from django.core.files.storage import default_storage
from django.db import transaction

from evaluation.checkpoints.adapter_config import MAX_SIZE as MAX_ADAPTER_CONFIG
from evaluation.flowerconfig import MAX_SIZE as MAX_CONFIG
from evaluation.inspection.flower_run import MAX_SIZE as MAX_FLOWER_RUN
from portal.intake.checks import Checked
from portal.intake.drafts import Files
from portal.outages.causes import storage_access
from portal.submissions.models import Checkpoint, Submission


def store(files: Files, sha256: str | None) -> str:
    """Store the adapter that was sent and return its name; one that stands in storage keeps its own.

    The name is under the SHA-256, where that is known, but of its own, so that a part left by a crash is
    never taken for a file.
    """
    if files.adapter is None:
        return files.stored_as
    folder = f"checkpoints/{sha256[:2]}/{sha256}" if sha256 else "drafts"
    files.adapter.seek(0)
    with storage_access():
        return default_storage.save(f"{folder}/{uuid.uuid4().hex}.safetensors", File(files.adapter))


def discard_unless_used(name: str) -> None:
    """Delete a stored adapter that neither a checkpoint nor a draft has."""
    if not name:
        return
    is_used = (
        Checkpoint.objects.filter(file=name).exists() or Submission.objects.filter(adapter_file=name).exists()
    )
    if not is_used:
        default_storage.delete(name)


def discard_once_committed(name: str) -> None:
    if name:
        transaction.on_commit(lambda: discard_unless_used(name))


def files_of(submission: Submission) -> Files:
    """The parts that a draft has."""
    name = submission.adapter_file.name or ""
    return Files(
        stored_as=name,
        adapter_size=_size_of(name) if name else 0,
        adapter_config=submission.adapter_config_text.encode() or None,
        config=submission.config_text.encode() or None,
        flower_run=submission.flower_run_text.encode() or None,
    )


def _size_of(name: str) -> int:
    with storage_access():
        return default_storage.size(name)


def kept_text(content: bytes | None, limit: int) -> str:
    """A text part as a draft keeps it; "" for one that is too long or that a database could not hold."""
    if content is None or len(content) > limit or b"\0" in content:
        return ""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return ""


def kept_flower_run(files: Files) -> str:
    return kept_text(files.flower_run, MAX_FLOWER_RUN)


def kept_adapter_config(files: Files) -> str:
    return kept_text(files.adapter_config, MAX_ADAPTER_CONFIG)


def kept_config(files: Files) -> str:
    return kept_text(files.config, MAX_CONFIG)


def is_known(sha256: str) -> bool:
    """Whether a checkpoint has the same file already."""
    return Checkpoint.objects.filter(sha256=sha256).exists()


def checkpoint_of(checked: Checked, stored_as: str) -> Checkpoint:
    """The checkpoint of these tensors under this config; its file is the one stored first."""
    summary, config = checked.summary, checked.adapter_config
    assert summary and config is not None
    known = Checkpoint.objects.filter(sha256=summary.sha256).first()
    checkpoint, _ = Checkpoint.objects.get_or_create(
        sha256=summary.sha256,
        config_sha256=hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest(),
        defaults={
            "tensors_digest": summary.tensors_digest,
            "size": summary.size,
            "adapter_config": config,
            "summary": asdict(summary),
            "file": known.file.name if known else stored_as,
        },
    )
    return checkpoint
