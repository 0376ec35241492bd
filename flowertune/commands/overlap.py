"""`overlap`: looks for test items in local training data, and writes what a submission may say of it."""

from __future__ import annotations

import json
from pathlib import Path

from tqdm import tqdm

from evaluation.errors import DataError
from evaluation.overlap.comparison import Comparison
from evaluation.overlap.index import Index
from evaluation.overlap.report import Report, touched
from evaluation.rules import challenges
from evaluation.rules.challenges import CHALLENGES
from flowertune.commands.catalogue import rules_of
from flowertune.commands.options import Commands, Context, add_command
from flowertune.console import table
from flowertune.errors import ClientError, NotThere
from flowertune.exit_status import Status
from flowertune.site import Site
from flowertune.training_rows import files_in, texts

REPORT_FILE = "overlap.json"


def add(commands: Commands) -> None:
    parser = add_command(
        commands,
        "overlap",
        _overlap,
        summary="look for test items in your training data, without sending any of it",
        about=(
            "Fetch the digests of the n-grams of the benchmarks' items, compare training data with them "
            "here, and write a report with the matching digests, counts, and a SHA-256 that commits to all "
            "others. No text leaves this machine. `flowertune submit --overlap FILE` sends the report along."
        ),
        examples=(
            "  flowertune overlap data/ --challenge finance\n"
            "  flowertune overlap client_1.jsonl client_2.csv notes.txt --output overlap.json\n"
        ),
    )
    parser.add_argument(
        "paths",
        metavar="FILE_OR_FOLDER",
        type=Path,
        nargs="+",
        help="rows as jsonl, json, csv or, with pyarrow, parquet; or txt, a paragraph a row",
    )
    parser.add_argument(
        "--challenge", metavar="SLUG", help=f"its benchmarks alone: one of {', '.join(CHALLENGES)}"
    )
    parser.add_argument(
        "--output", type=Path, default=Path(REPORT_FILE), metavar="FILE", help=f"default: {REPORT_FILE}"
    )


def _overlap(context: Context) -> Status:
    options, console = context.options, context.console
    files = files_in(options.paths)
    with context.site(needs_token=False) as site:
        indexes = _indexes(site, options.challenge)
    comparison = Comparison(indexes)
    for path in tqdm(files, unit="file", disable=not console.shows_progress, leave=False):
        for row in texts(path):
            comparison.add(row)
    report = comparison.report()
    _write(options.output, report)
    document = {
        "file": str(options.output),
        "rows": report.rows,
        "ngrams": report.ngrams,
        "benchmarks": {
            index.benchmark: {
                "touched": len(touched(index, report.benchmarks[index.benchmark])),
                "comparable": index.comparable,
                "items": index.items,
            }
            for index in indexes
        },
    }
    console.result(document, _text(indexes, report, options.output))
    return Status.DONE


def _indexes(site: Site, challenge: str | None) -> list[Index]:
    """Of all benchmarks that the site has digests of. Raises ClientError where it has none."""
    chosen = [challenges.get(challenge)] if challenge else list(CHALLENGES.values())
    found = [_index(site, slug) for each in chosen for slug in rules_of(site, each.slug).benchmarks]
    if not (indexes := [index for index in found if index]):
        raise ClientError(f"{site.url} has no n-grams of these benchmarks. Its operators make them.")
    return indexes


def _index(site: Site, slug: str) -> Index | None:
    content = bytearray()
    try:
        site.download(f"benchmarks/{slug}/ngrams/", content.extend)
        return Index.from_bytes(bytes(content))
    except NotThere:
        return None
    except DataError as error:
        raise ClientError(f"{slug}: {error}") from error


def _write(path: Path, report: Report) -> None:
    try:
        path.write_text(json.dumps(report.to_json(), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise ClientError(f"{path} cannot be written: {error.strerror}") from error


def _text(indexes: list[Index], report: Report, path: Path) -> str:
    rows = []
    for index in indexes:
        count = len(touched(index, report.benchmarks[index.benchmark]))
        share = f"{100 * count / index.items:.1f}%" if index.items else "–"
        rows.append((index.benchmark, f"{count:,}", f"{index.items:,}", share, f"{index.comparable:,}"))
    head = ("Benchmark", "Touched", "Items", "Share", "Long enough to tell")
    return (
        f"{table(rows, head=head, right=(1, 2, 3, 4))}\n\n"
        f"{report.rows:,} rows, {report.ngrams:,} n-grams. {path} has the matching digests and no text; "
        f"send it along: flowertune submit … --overlap {path}"
    )
