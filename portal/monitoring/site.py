"""The site's numbers, read when Prometheus asks and kept for some seconds, however many ask.

Moments are told as Unix times, so that an age is right however old the answer; what has none is left out.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

from django.db.utils import InterfaceError, OperationalError
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from portal.monitoring import of_running, of_the_desk, of_work

KEPT_SECONDS = 10.0


class Site(Collector):
    """Where the database gives no answer, that is the answer, beside what needs none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: list[Metric] = []
        self._read_at = float("-inf")

    def describe(self) -> Iterable[Metric]:
        """Nothing: else the registry would read the database to learn the names."""
        return ()

    def collect(self) -> Iterable[Metric]:
        with self._lock:
            if time.monotonic() - self._read_at >= KEPT_SECONDS:
                self._kept = list(_read())
                self._read_at = time.monotonic()
            return self._kept


def _read() -> Iterable[Metric]:
    up = GaugeMetricFamily("flowertune_database_up", "1 where the database answers, else 0")
    try:
        from_database = [*of_work.read(), *of_the_desk.read()]
    except (OperationalError, InterfaceError):
        from_database = []
        up.add_metric([], 0)
    else:
        up.add_metric([], 1)
    return [up, *from_database, *of_running.read()]


SITE = CollectorRegistry()
SITE.register(Site())
