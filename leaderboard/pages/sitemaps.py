"""The addresses that search engines should know: pages with content of their own."""

from __future__ import annotations

from datetime import datetime

from django.contrib.sitemaps import Sitemap
from django.db.models import QuerySet
from django.urls import reverse

from evaluation.benchmarks import BENCHMARKS
from evaluation.findings.catalogue import CATALOGUE
from evaluation.rules import protocol
from evaluation.rules.challenges import CHALLENGES
from portal.help.library import LISTINGS
from portal.submissions.models import BaseModel, Submission

_PAGES = ("home", "boards", "rules", "method", "benchmarks", "base-models", "changes")
_HELP = ("docs:index", "help:findings", "api-docs", "client:page")


class Pages(Sitemap[str]):
    """Pages that are always there."""

    def items(self) -> list[str]:
        return [
            *map(reverse, (*_PAGES, *_HELP)),
            *(reverse("leaderboard:board", args=[slug]) for slug in CHALLENGES),
            *(reverse("benchmark", args=[slug]) for slug in BENCHMARKS if protocol.asking(slug)),
            *(reverse("docs:document", args=[slug]) for slug in LISTINGS),
            *(reverse("help:finding", args=[code]) for code in CATALOGUE),
        ]

    def location(self, item: str) -> str:
        return item


class Entries(Sitemap[Submission]):
    """Published entries, by their number: pages of the map then stay as they are."""

    limit = 2_000

    def items(self) -> QuerySet[Submission]:
        return (
            Submission.objects.filter(status=Submission.Status.PUBLISHED)
            .only("status_changed_at")
            .order_by("pk")
        )

    def location(self, item: Submission) -> str:
        return reverse("entry", args=[item.pk])

    def lastmod(self, item: Submission) -> datetime:
        return item.status_changed_at


class BaseModels(Sitemap[BaseModel]):
    def items(self) -> QuerySet[BaseModel]:
        return BaseModel.objects.filter(active=True).only("pk").order_by("pk")

    def location(self, item: BaseModel) -> str:
        return reverse("base-model", args=[item.pk])


SITEMAPS = {"pages": Pages, "entries": Entries, "base-models": BaseModels}
