"""Where the rows of a benchmark are: in a data folder, among the built-in ones, or on the hub."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evaluation.benchmarks.definition import Benchmark, whole
from evaluation.benchmarks.samples import Row
from evaluation.errors import DataError
from evaluation.hub import fetching
from evaluation.row_files import read_rows

DEMONSTRATION = "demonstration"
DEMONSTRATION_FOLDER = Path(__file__).parents[1] / "demonstration" / "data"
_SUFFIXES = (".jsonl", ".parquet")


@dataclass(frozen=True)
class Source:
    """Files that hold a benchmark's rows. `title` names them for people and records.

    `stand_in` is the name of a file that takes the place of the benchmark's own. `commit` is the hub's, empty
    for other files.
    """

    files: tuple[Path, ...]
    title: str
    stand_in: str | None = None
    commit: str = ""

    @property
    def on_hub(self) -> bool:
        return bool(self.commit)


def locate(
    benchmark: Benchmark, location: str | Path | None, *, fetch: bool = True, commit: str | None = None
) -> Source:
    """The benchmark's rows in the folder `location`, the built-in `demonstration`, or for None the hub's.

    Of the hub's, those at `commit` rather than at the revision that the benchmark names. What is not in the
    hub's cache is fetched if `fetch` allows it. Raises DataError or HubError that say what to do.
    """
    if location is None or location == "":  # as an empty variable of the environment gives
        return _on_hub(benchmark, fetch, commit or benchmark.hub.revision)
    folder = DEMONSTRATION_FOLDER if str(location) == DEMONSTRATION else Path(location)
    if folder.is_file():
        raise DataError(f"{folder} is a file; give the folder that holds it")
    if not folder.is_dir():
        raise DataError(f"the data folder {folder} does not exist")
    source = in_folder(benchmark, folder)
    if source is None:
        names = " or ".join(f"{benchmark.file}{suffix}" for suffix in _SUFFIXES)
        raise DataError(f"{folder} has no {names}, which would hold the rows of {benchmark.title}")
    return source


def in_folder(benchmark: Benchmark, folder: Path) -> Source | None:
    """The benchmark's file in a data folder, else its stand-in's. Raises DataError where there are two."""
    for name in filter(None, (benchmark.file, benchmark.stand_in)):
        found = [path for suffix in _SUFFIXES if (path := folder / f"{name}{suffix}").is_file()]
        if len(found) > 1:
            raise DataError(
                f"{folder} has both {found[0].name} and {found[1].name}: remove the one not meant"
            )
        if found:
            return Source((found[0],), found[0].name, found[0].name if name != benchmark.file else None)
    return None


def _on_hub(benchmark: Benchmark, fetch: bool, revision: str) -> Source:
    files = benchmark.hub
    instead = (
        f"give --data with a folder that holds {benchmark.file}.jsonl or {benchmark.file}.parquet, or --data "
        f"{DEMONSTRATION} for the small built-in items"
    )
    snapshot = fetching.fetch_files(
        files.dataset, revision, files.files, instead=instead, cached_only=not fetch
    )
    paths = tuple(snapshot.folder / name for name in files.files)
    title = f"{snapshot.repo}@{snapshot.commit}: {', '.join(files.files)}"
    return Source(paths, title, commit=snapshot.commit)


def read(benchmark: Benchmark, source: Source) -> list[Row]:
    """All rows of a source in its order, with the benchmark's columns in their canonical form.

    Columns beside these stay. Raises DataError that names file, row and column.
    """
    rows = [
        _accept(benchmark, row, f"{path}, {place}")
        for path in source.files
        for place, row in _rows(benchmark, path, source.on_hub)
    ]
    order = benchmark.hub.order_by if source.on_hub else None
    return sorted(rows, key=lambda row: str(row[order])) if order is not None else rows


def _rows(benchmark: Benchmark, path: Path, on_hub: bool) -> Iterator[tuple[str, Row]]:
    if not on_hub:
        yield from read_rows(path)
        return
    for place, row in read_rows(path, benchmark.hub.member):
        try:
            normal = benchmark.hub.normalise(row)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise DataError(
                f"{path}, {place}: not in the form of {benchmark.hub.dataset}: {error!r}; found {row!r:.80}"
            ) from error
        yield place, normal


def _accept(benchmark: Benchmark, row: Row, place: str) -> Row:
    accepted = dict(row)
    for column in benchmark.columns:
        if column.name not in row:
            raise DataError(f"{place}: there is no column {column.name!r}")
        value = column.canonical(row[column.name])
        if not column.accepts(value):
            raise DataError(
                f"{place}, column {column.name!r}: expected {column.expected}, found {row[column.name]!r:.80}"
            )
        accepted[column.name] = value
    if benchmark.id_column in row:
        accepted[benchmark.id_column] = whole(row[benchmark.id_column])
    return accepted
