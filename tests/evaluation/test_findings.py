"""The list that form, API, command line and reviewer share, and the catalogue of its codes."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.findings import (
    Finding,
    FindingCollector,
    RecordedFinding,
    Severity,
    UncataloguedError,
    excerpt,
)
from evaluation.findings.catalogue import AREA_OF, AREAS, CATALOGUE
from evaluation.findings.kinds import FindingKind

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("evaluation", "flowertune", "leaderboard", "portal", "workers")
# What reports a finding, and takes its code first. A method of an object that is no collector, such as an
# `error` of another kind, takes a sentence or a name without a dot.
REPORTING = {"Finding", "UploadError", "error", "warning", "note", "warn", "_error", "_known"}
CODE = re.compile(r"[a-z_]+\.[a-z_]+")


@cache
def nodes() -> tuple[ast.AST, ...]:
    """The whole source, the catalogue itself left out."""
    paths = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    sources = [p.read_text() for p in paths if ROOT / "evaluation" / "findings" not in p.parents]
    return tuple(node for source in sources for node in ast.walk(ast.parse(source)))


def literals() -> set[str]:
    return {n.value for n in nodes() if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def reported() -> Iterator[str]:
    """The codes that are given as they are where something is reported."""
    for node in nodes():
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        code = node.args[0].value if isinstance(node.args[0], ast.Constant) else None
        if name in REPORTING and isinstance(code, str) and CODE.fullmatch(code):
            yield code


def test_every_code_that_is_reported_is_in_the_catalogue() -> None:
    found = set(reported())
    assert len(found) > 80
    assert found <= CATALOGUE.keys()


def test_every_code_of_the_catalogue_is_used() -> None:
    # Those of requests are partly REST framework's own, see tests/portal/api/test_findings.py.
    ours = {code for code, area in AREA_OF.items() if area.slug != "request"}
    assert ours - literals() == set()


def test_no_code_is_catalogued_twice() -> None:
    codes = [kind.code for area in AREAS for kind in area.kinds]
    assert len(codes) == len(set(codes)) == len(CATALOGUE)
    assert len({area.slug for area in AREAS}) == len(AREAS)


@pytest.mark.parametrize("kind", CATALOGUE.values(), ids=list(CATALOGUE))
def test_a_kind_says_what_it_is_and_what_to_do(kind: FindingKind) -> None:
    assert re.fullmatch(r"[a-z_]+(\.[a-z_]+)?", kind.code) and len(kind.code) <= 60
    assert kind.severities == tuple(s for s in Severity if s in kind.severities) != ()
    assert len(kind.title) <= 70 and kind.title[-1] != "." and kind.title[0].isupper()
    for text in (kind.explanation, kind.remedy):
        assert text[-1] == "." and "  " not in text


def test_a_finding_outside_the_catalogue_cannot_be_built() -> None:
    with pytest.raises(UncataloguedError, match="no_such"):
        Finding("config.no_such", Severity.ERROR, "It is wrong.")
    with pytest.raises(UncataloguedError, match="catalogued as error, and reported as note"):
        FindingCollector().note("config.value", "It is wrong.")


def test_a_finding_of_another_version_can_be_read() -> None:
    recorded = RecordedFinding("config.no_such", Severity.ERROR, "It is wrong.")
    assert recorded.kind is None
    known = RecordedFinding("config.value", Severity.ERROR, "It is wrong.").kind
    assert known is CATALOGUE["config.value"]


def test_inspection_imports_no_model_library() -> None:
    program = "import sys, evaluation.checkpoints, evaluation.inspection.report; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"torch", "transformers", "peft", "safetensors", "django", "flwr"} & set(loaded)


@given(text=st.text(max_size=200))
def test_an_excerpt_is_short_and_harmless(text: str) -> None:
    shown = excerpt(text, 50)
    assert shown.isprintable()
    assert len(shown) <= 50
    assert shown == text or not text.isprintable() or len(text) > 50
