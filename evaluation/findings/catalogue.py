"""The table of all finding codes, which form, API, terminal and help pages read."""

from __future__ import annotations

from collections.abc import Mapping

from evaluation.findings.areas import (
    adapter,
    adapter_config,
    adapter_file,
    app,
    app_config,
    communication,
    flower_run,
    request,
    rules,
    run,
    submission,
    upload,
)
from evaluation.findings.kinds import Area, FindingKind, Severity

AREAS: tuple[Area, ...] = (
    submission.AREA,
    adapter_file.AREA,
    adapter_config.AREA,
    adapter.AREA,
    app_config.AREA,
    rules.AREA,
    communication.AREA,
    flower_run.AREA,
    app.AREA,
    upload.AREA,
    request.AREA,
    run.AREA,
)
CATALOGUE: Mapping[str, FindingKind] = {kind.code: kind for area in AREAS for kind in area.kinds}
AREA_OF: Mapping[str, Area] = {kind.code: area for area in AREAS for kind in area.kinds}


class UncataloguedError(ValueError):
    """A finding is reported under a code, or with a severity, that the catalogue does not have."""


def check_catalogued(code: str, severity: Severity) -> None:
    """Raise UncataloguedError where no finding may be reported like that."""
    kind = CATALOGUE.get(code)
    if kind is None:
        raise UncataloguedError(f"{code!r} is no finding code; add it to evaluation/findings/areas")
    if severity not in kind.severities:
        listed = " or ".join(kind.severities)
        raise UncataloguedError(f"{code} is catalogued as {listed}, and reported as {severity}")
