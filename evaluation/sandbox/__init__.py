"""Isolation in which generated programs are run: see docs/sandbox.md for what it guards against."""

from evaluation.sandbox.cgroups import memory_measure
from evaluation.sandbox.program import Language, Limits, Outcome, Program, Verdict
from evaluation.sandbox.running import check, run

__all__ = ["Language", "Limits", "Outcome", "Program", "Verdict", "check", "memory_measure", "run"]
