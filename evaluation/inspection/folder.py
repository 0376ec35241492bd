"""A Flower app on disk as material to inspect: a submission's files, found by their names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from evaluation.checkpoints import ADAPTER_CONFIG_FILE, ADAPTER_FILE
from evaluation.errors import DataError
from evaluation.findings import Finding, FindingCollector, excerpt
from evaluation.flowerconfig import CONFIG_FILE
from evaluation.inspection.material import SUBMITTED, LogFile, Material, MaterialFile

MAX_DEPTH = 6
MAX_FOLDERS = 20_000
MAX_SOURCES = 50
_PRUNED = {"__pycache__", "node_modules", "site-packages", "venv", "env", "wandb"}
_PICKLE = "adapter_model.bin"
_ROUND = re.compile(r"peft_(?P<round>\d{1,9})", re.IGNORECASE)
_LOG = re.compile(r"comm[\w.-]*\.(?:txt|log)", re.IGNORECASE)
# The output of a run, in which the log's lines may stand.
_OUTPUT = re.compile(
    r"(?:train(?:ing)?|run|server|flwr|flower|fl|log|output|out|nohup|stdout)[\w.-]*\.(?:txt|log|out)",
    re.IGNORECASE,
)
# What somebody keeps of `flwr list --run-id ID --format json`.
_RUN = re.compile(r"(?:flwr|flower)[\w.-]*\.json", re.IGNORECASE)
_BUNDLE = re.compile(r".+\.fab", re.IGNORECASE)
_LOG_FOLDERS = ("logs", "log")
MAX_LOGS = 20
_SHARD = re.compile(r"adapter_model[.-]\d+-of-\d+\.safetensors")
_INDEX = f"{ADAPTER_FILE}.index.json"


@dataclass(frozen=True, slots=True)
class AppFiles:
    """What was found; `adapter` is a folder and `round` its number when it is called `peft_<number>`.

    `checkpoints` are all that there are, the last one first. `is_searched`: a folder was given, not its
    configuration alone.
    """

    root: Path
    config: Path | None
    adapter: Path | None
    logs: tuple[Path, ...] = ()
    sources: tuple[Path, ...] = ()
    is_searched: bool = True
    checkpoints: tuple[Path, ...] = ()
    flower_run: Path | None = None
    bundles: tuple[Path, ...] = ()

    @property
    def round(self) -> int | None:
        return _round(self.adapter) if self.adapter else None

    def name(self, path: Path) -> str:
        """A file's name for people: relative to the folder that was given, where it is in there."""
        inside = path.is_relative_to(self.root)
        return excerpt((path.relative_to(self.root) if inside else path).as_posix(), 160)


@dataclass(frozen=True, slots=True)
class AppFolder:
    """Where the files are, and what there is to inspect of them."""

    files: AppFiles
    material: Material


def gather(
    path: Path, *, whole: bool = False, log: Path | None = None, checkpoint: Path | None = None
) -> AppFolder:
    """What is at `path`: a Flower app folder, a pyproject.toml or an adapter folder (or one of its files).

    Of several checkpoints the last is taken: that of the highest round in the last run by name; or
    `checkpoint`, one of them. To be submitted it has to be `whole`; else only the halves of a checkpoint miss
    each other. `log` is the communication log, or what Flower recorded of the run as JSON, where it is none
    of those that are found. Raises DataError when there is nothing to inspect or it cannot be read.
    """
    collector = FindingCollector()
    try:
        files = _located(path, collector, checkpoint)
        is_record = log is not None and log.suffix.lower() == ".json"
        if log is not None and is_record:
            files = replace(files, flower_run=log.absolute())
        elif log is not None:
            files = replace(files, logs=(log.absolute(),))
        if not whole:
            _note_absent(files, collector)
        return AppFolder(
            files, _material(files, whole, collector.collected(), named=log is not None and not is_record)
        )
    except OSError as error:
        raise DataError(f"{path} cannot be searched: {error.strerror}") from error


def _material(files: AppFiles, whole: bool, findings: tuple[Finding, ...], *, named: bool) -> Material:
    expected = SUBMITTED if whole else (ADAPTER_FILE, ADAPTER_CONFIG_FILE) if files.adapter else ()
    return Material(
        config=_file(files.config, CONFIG_FILE),
        adapter_config=_file(files.adapter and files.adapter / ADAPTER_CONFIG_FILE, ADAPTER_CONFIG_FILE),
        adapter=_file(files.adapter and files.adapter / ADAPTER_FILE, ADAPTER_FILE),
        flower_run=_file(files.flower_run, files.name(files.flower_run)) if files.flower_run else None,
        expected=frozenset(expected),
        bundles=tuple(MaterialFile.of_path(path, files.name(path)) for path in files.bundles),
        logs=tuple(
            LogFile(MaterialFile.of_path(path, files.name(path)), named or _is_log(path))
            for path in files.logs
        ),
        sources=tuple(MaterialFile.of_path(source, files.name(source)) for source in files.sources),
        checkpoint=files.name(files.adapter) if files.adapter else "",
        round=files.round,
        shards=_shards(files.adapter) if files.adapter else (),
        findings=findings,
    )


def _file(path: Path | None, name: str) -> MaterialFile | None:
    return MaterialFile.of_path(path, name) if path and path.is_file() else None


def _note_absent(files: AppFiles, findings: FindingCollector) -> None:
    if files.config is None:
        message = f"There is no {CONFIG_FILE}, so only the adapter was checked. Give the Flower app's folder."
        findings.note("app.no_config", message)
    if files.adapter is None and files.is_searched:
        message = f"There is no adapter yet: no folder with {ADAPTER_FILE}. Train first, or give its folder."
        findings.warning("app.no_checkpoint", message)


def app_configs(root: Path) -> list[Path]:
    """The pyproject.toml here, else those of the folders below."""
    here = root / CONFIG_FILE
    return [here] if here.is_file() else sorted(root.glob(f"*/{CONFIG_FILE}"))


def _located(path: Path, findings: FindingCollector, checkpoint: Path | None = None) -> AppFiles:
    if path.name in (ADAPTER_FILE, ADAPTER_CONFIG_FILE) and path.is_file():
        path = path.absolute().parent
    if path.is_file():
        return AppFiles(path.absolute().parent, path.absolute(), None, is_searched=False)
    if not path.is_dir():
        raise DataError(f"there is no file or folder {path}")
    root = path.absolute()
    config = _config(root)
    app = config.parent if config else root
    checkpoints = (root,) if _is_adapter(root) else _checkpoints(app, findings)
    if checkpoint is None:
        _note_runs(app, checkpoints, findings)
    adapter = checkpoint or next(iter(checkpoints), None)
    if config is None and adapter and (adapter / CONFIG_FILE).is_file():
        config = adapter / CONFIG_FILE
        app = adapter
    if config is None and adapter is None:
        raise DataError(
            f"{path} holds neither {CONFIG_FILE} nor an adapter; give the Flower app's folder, its "
            f"{CONFIG_FILE} or a folder with {ADAPTER_FILE}"
        )
    sources = _sources(app) if config else ()
    return AppFiles(
        root,
        config,
        adapter,
        _logs(app, adapter),
        sources,
        checkpoints=checkpoints,
        flower_run=next(iter(_beside(_RUN, app, adapter)[::-1]), None),
        bundles=_beside(_BUNDLE, app, adapter),
    )


def _config(root: Path) -> Path | None:
    """The app's pyproject.toml, here or in the only folder below that has one."""
    found = app_configs(root)
    if len(found) > 1:
        names = ", ".join(excerpt(path.parent.name, 40) for path in found[:8])
        raise DataError(f"several folders in {root.name} hold a {CONFIG_FILE}: {names}; give one of them")
    return found[0] if found else None


def _is_adapter(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (ADAPTER_FILE, ADAPTER_CONFIG_FILE, _PICKLE, _INDEX))


def _shards(adapter: Path) -> tuple[str, ...]:
    """The names of the files that an adapter was split into."""
    return tuple(sorted(path.name for path in adapter.glob("adapter_model*") if _SHARD.fullmatch(path.name)))


def _checkpoints(app: Path, findings: FindingCollector) -> tuple[Path, ...]:
    """The adapters' folders, the last one first; numbered rounds hide what lies beside them."""
    visited = list(islice(_folders(app), MAX_FOLDERS + 1))
    if len(visited) > MAX_FOLDERS:
        message = f"Only the first {MAX_FOLDERS:,} folders were searched. Give the adapter's folder itself."
        findings.warning("app.too_many_folders", message)
    adapters = [folder for folder in visited[:MAX_FOLDERS] if _is_adapter(folder)]
    rounds = [folder for folder in adapters if _round(folder) is not None]
    return tuple(sorted(rounds or adapters, key=_order, reverse=True))


def _note_runs(app: Path, checkpoints: tuple[Path, ...], findings: FindingCollector) -> None:
    runs = {folder if _round(folder) is None else folder.parent for folder in checkpoints}
    if len(runs) > 1:
        chosen = checkpoints[0]
        name = excerpt(chosen.relative_to(app).as_posix(), 120)
        message = (
            f"Checkpoints of {len(runs):,} runs are here; {name} is taken. Give another's folder to choose."
        )
        findings.note("app.several_runs", message, name)


def _folders(app: Path) -> Iterator[Path]:
    """All folders that may hold results, `app` left out; links are not followed."""
    for folder, names, _ in os.walk(app):
        here = Path(folder)
        depth = len(here.relative_to(app).parts)
        names[:] = sorted(n for n in names if n[0] != "." and n not in _PRUNED) if depth < MAX_DEPTH else []
        if depth:
            yield here


def _order(folder: Path) -> tuple[list[tuple[int, str]], int]:
    """Runs by name with numbers as numbers (they are mostly named by date), then rounds."""
    pieces = re.findall(r"\d{1,18}|\D+", folder.parent.as_posix())
    return [(int(p), "") if p.isdigit() else (-1, p) for p in pieces], _round(folder) or 0


def _round(folder: Path) -> int | None:
    match = _ROUND.fullmatch(folder.name)
    return int(match["round"]) if match else None


def _logs(app: Path, adapter: Path | None) -> tuple[Path, ...]:
    """The communication logs beside the checkpoint, else beside its run, else in the app's folder.

    A folder's own logs come first, then those in its `logs`; the output of a run counts where it has no log.
    """
    return _beside(_LOG, app, adapter) or _beside(_OUTPUT, app, adapter)


def _beside(pattern: re.Pattern[str], app: Path, adapter: Path | None) -> tuple[Path, ...]:
    """The files so called in the first folder that has any: the checkpoint's, its run's or the app's."""
    beside = [adapter, adapter.parent] if adapter and adapter != app else []
    places = [folder for each in dict.fromkeys([*beside, app]) for folder in (each, *_log_folders(each))]
    for folder in places:
        found = sorted(path for path in folder.glob("*") if pattern.fullmatch(path.name) and path.is_file())
        if found:
            return tuple(found[:MAX_LOGS])
    return ()


def _log_folders(folder: Path) -> list[Path]:
    return [folder / name for name in _LOG_FOLDERS if (folder / name).is_dir()]


def _is_log(path: Path) -> bool:
    """Whether a file is a communication log by its name, not the output of a run in which one may stand."""
    return _LOG.fullmatch(path.name) is not None


def _sources(app: Path) -> tuple[Path, ...]:
    """The Python files of the app's package, one level deep, to read its strategy's class in."""
    found = sorted(path for path in app.glob("*/*.py") if path.is_file() and path.parent.name[0] != ".")
    return tuple(found[:MAX_SOURCES])
