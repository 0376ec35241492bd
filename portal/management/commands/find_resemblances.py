"""`manage.py find_resemblances`: what the periodic task does, at once and to the end."""

from __future__ import annotations

import math
from typing import Any

from django.core.management.base import BaseCommand

from portal.review.resemblance import search
from portal.submissions.models import AdapterSketch, ResemblanceReport


class Command(BaseCommand):
    help = (
        "Sketch every stored adapter that has no sketch yet, keep the wrong answers of every score, and "
        "compare the submissions in review with all others. The workers do the same piece by piece."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        search.run(until=math.inf)
        sketched = AdapterSketch.objects.filter(problem="").count()
        unreadable = AdapterSketch.objects.exclude(problem="").count()
        reports = ResemblanceReport.objects.filter(found_at__isnull=False).count()
        self.stdout.write(f"{sketched:,} adapters sketched, {unreadable:,} unreadable, {reports:,} reports")
