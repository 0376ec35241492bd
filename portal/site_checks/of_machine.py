"""Of this machine: programs can be run in isolation, GPUs are seen, and its clock is right."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Warning
from django.db import connection
from django.utils import timezone
from huggingface_hub import constants

from evaluation import gpus, sandbox
from evaluation.errors import SandboxError
from evaluation.sandbox import Language
from portal.site_checks import of_services

# Leases and dates of decisions are told by the clocks of all machines.
MOST_APART = timedelta(seconds=2)
# A Date header has whole seconds, and was on its way.
_HEADER_TOLERANCE = timedelta(seconds=3)
_DRIVER = Path("/proc/driver/nvidia/version")


def programs() -> Iterator[CheckMessage]:
    """By the probe that workers make too: a program in each language."""
    try:
        sandbox.check(Language)
    except SandboxError as error:
        yield Warning(
            f"Generated programs cannot be run in isolation here: {error}",
            hint="A worker on this machine leaves the code challenge to others. docs/sandbox.md says what it "
            "needs; a machine without workers needs nothing.",
            id="site.W030",
        )


def gpu() -> Iterator[CheckMessage]:
    """Asked of the driver: no model library is loaded."""
    seen = gpus.visible() if find_spec("pynvml") else ()
    listed = os.environ.get("CUDA_VISIBLE_DEVICES", "").strip()
    wanted = len([one for one in listed.split(",") if one.strip() not in ("", "-1")])
    if len(seen) < wanted:
        yield Error(
            f"CUDA_VISIBLE_DEVICES lists {wanted} GPUs, of which the driver sees {len(seen)}.",
            hint="Compare it with nvidia-smi -L; a container needs NVIDIA's toolkit to be given GPUs.",
            id="site.E031",
        )
    elif not seen and _DRIVER.exists():
        yield Error(
            "There is an NVIDIA driver, and no GPU can be used.",
            hint="Look whether nvidia-smi works for this user, and install the worker's packages.",
            id="site.E032",
        )
    elif not seen and settings.EVALUATION_ENGINE == "vllm":
        yield Warning(
            "EVALUATION_ENGINE asks for vLLM, and there is no GPU here.",
            hint="Install vLLM's build for processors (scripts/setup-vllm), or leave it on auto.",
            id="site.W033",
        )
    elif not seen:
        yield Info(
            "No GPU is seen: what runs here computes on the processor.",
            hint="On a machine with one, install NVIDIA's driver; in a container, its toolkit too.",
            id="site.I034",
        )


def clock() -> Iterator[CheckMessage]:
    """Against the database's, and the hub's where that answers."""
    if of_services.is_database_there():
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            row = cursor.fetchone()
        assert row is not None
        yield from _apart("the database's", row[0] - timezone.now(), MOST_APART)
    answer = None if constants.HF_HUB_OFFLINE else of_services.hub_answer()
    if answer is not None and answer.ahead is not None:
        yield from _apart("the model hub's", answer.ahead, MOST_APART + _HEADER_TOLERANCE)


def _apart(whose: str, ahead: timedelta, most: timedelta) -> Iterator[CheckMessage]:
    if abs(ahead) > most:
        yield Warning(
            f"This machine's clock is {abs(ahead).total_seconds():.0f} seconds from {whose}.",
            hint="Let all machines keep time by NTP (chrony, systemd-timesyncd): leases are told by clocks.",
            id="site.W035",
        )
