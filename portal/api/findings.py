"""Findings as the API writes them: each with its title and the address of the page that explains its code."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from rest_framework.request import Request

from evaluation.findings import Finding


def help_address(code: str, request: Request | HttpRequest) -> str:
    """The page of a code of the catalogue."""
    return request.build_absolute_uri(reverse("help:finding", args=[code]))


def as_details(finding: Finding, request: Request | HttpRequest) -> dict[str, Any]:
    """A finding that explains a refusal."""
    title = finding.kind.title if finding.kind else ""
    return {**asdict(finding), "title": title, "help": help_address(finding.code, request)}
