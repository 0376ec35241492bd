"""A Flower app's bundle (`flwr build` writes NAME.fab, a zip), held against the run and the configuration."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence

from evaluation.backports import tomllib
from evaluation.findings import Finding, FindingCollector, excerpt
from evaluation.flowerconfig import CONFIG_FILE
from evaluation.flowerconfig import MAX_SIZE as MAX_CONFIG
from evaluation.inspection.flower_run import FlowerRun
from evaluation.inspection.material import MaterialFile

MAX_SIZE = 16 * 1024**2


def check_bundles(
    bundles: Sequence[MaterialFile], run: FlowerRun | None, config: MaterialFile | None
) -> tuple[Finding, ...]:
    """Whether one of the bundles is that of the run, and is set as the configuration says."""
    findings = FindingCollector()
    contents = {bundle.name: bundle.content(MAX_SIZE) for bundle in bundles if bundle.size <= MAX_SIZE}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    wanted = run.bundle if run else ""
    meant = [name for name, digest in digests.items() if not wanted or digest == wanted]
    if digests and not meant:
        shown = ", ".join(f"{name} {digest[:12]}…" for name, digest in list(digests.items())[:3])
        message = f"The run was of bundle {wanted[:12]}…; here is {shown}. Give the bundle that was run."
        findings.warning("flower_run.other_bundle", message, next(iter(digests)))
    # Of several without a record nobody can tell which was run.
    differing = (
        _differing(contents[meant[0]], config.content(MAX_CONFIG)) if len(meant) == 1 and config else []
    )
    if differing:
        shown = ", ".join(excerpt(name, 60) for name in differing[:5])
        message = (
            f"The bundle's {CONFIG_FILE} has other values of {shown}. If they were set with --run-config, "
            "that is as it should be; else send the configuration of the run."
        )
        findings.warning("flower_run.other_config", message, meant[0])
    return findings.collected()


def _differing(bundle: bytes, config: bytes) -> list[str]:
    """The settings of the app that differ, by name; none where one of the two cannot be read."""
    try:
        with zipfile.ZipFile(io.BytesIO(bundle)) as archive, archive.open(CONFIG_FILE) as file:
            packed = file.read(MAX_CONFIG + 1)
        inside, here = (dict(_settings(tomllib.loads(text.decode()))) for text in (packed, config))
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        KeyError,
        NotImplementedError,
        RuntimeError,
        ValueError,
    ):
        return []
    return sorted(name for name in inside.keys() | here.keys() if inside.get(name) != here.get(name))


def _settings(document: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """`[tool.flwr.app.config]` as Flower has it, a dotted name each."""
    table: object = document
    for key in ("tool", "flwr", "app", "config"):
        table = table.get(key, {}) if isinstance(table, Mapping) else {}
    yield from _flat(table, "")


def _flat(table: object, before: str) -> Iterator[tuple[str, object]]:
    if not isinstance(table, Mapping):
        yield before, table
        return
    for key, value in table.items():
        yield from _flat(value, f"{before}.{key}" if before else str(key))
