"""Of the machine and what is kept beside the database: boards, uploads under way, disk, the last backup."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from django.conf import settings
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from portal.monitoring import board_builds
from portal.operate import last_backup
from portal.uploads import slots


def read() -> Iterator[Metric]:
    yield from _boards()
    streams = GaugeMetricFamily("flowertune_upload_streams", "Uploads that this web process receives now")
    streams.add_metric([], slots.held())
    yield streams
    yield from _disk()
    yield _backup()


def _boards() -> Iterator[Metric]:
    at = GaugeMetricFamily(
        "flowertune_board_built_timestamp_seconds",
        "When a board was last built",
        labels=["challenge", "protocol"],
    )
    took = GaugeMetricFamily(
        "flowertune_board_build_seconds", "How long that took", labels=["challenge", "protocol"]
    )
    for build in board_builds.builds():
        at.add_metric([build.challenge, str(build.protocol)], build.at)
        took.add_metric([build.challenge, str(build.protocol)], build.seconds)
    yield from (at, took)


def _disk() -> Iterator[Metric]:
    usage = shutil.disk_usage(settings.VAR_DIR)
    free = GaugeMetricFamily("flowertune_disk_free_bytes", "Room on the disk of VAR_DIR")
    free.add_metric([], usage.free)
    size = GaugeMetricFamily("flowertune_disk_size_bytes", "Size of that disk")
    size.add_metric([], usage.total)
    yield from (free, size)


def _backup() -> Metric:
    """Without a record there is no value."""
    last = GaugeMetricFamily("flowertune_last_backup_timestamp_seconds", "When the last backup was complete")
    if (made_at := last_backup.made_at()) is not None:
        last.add_metric([], made_at.timestamp())
    return last
