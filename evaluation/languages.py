"""The languages of programs that benchmarks ask for."""

from __future__ import annotations

from evaluation.backports import StrEnum


class Language(StrEnum):
    """What a program is written in."""

    PYTHON = "python"
    JAVASCRIPT = "javascript"
    CPP = "cpp"
