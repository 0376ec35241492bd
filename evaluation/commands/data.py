"""`data`: what benchmark data there is, before a run finds out; fetching it, and taking it elsewhere."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from evaluation import benchmarks, rules
from evaluation.benchmarks import BENCHMARKS, Benchmark
from evaluation.commands.files import as_json
from evaluation.commands.options import Commands, add_command, add_data, add_protocol
from evaluation.commands.status import Status
from evaluation.commands.text import paragraph
from evaluation.data import Holding, describe, export


def add(commands: Commands) -> None:
    parser = add_command(
        commands,
        "data",
        _data,
        summary="show which benchmark data there are, fetch them, write them to a folder",
        about=(
            "Show which benchmarks' data are in a folder, or without --data in the hub's cache on this "
            "machine, and whether they are the official items."
        ),
        examples=(
            "  python -m evaluation data --data DIR\n"
            "  python -m evaluation data --challenge finance --fetch\n"
            "  python -m evaluation data --export DIR    # for a machine without a network\n"
        ),
    )
    add_data(parser)
    subject = parser.add_mutually_exclusive_group()
    subject.add_argument("--challenge", metavar="SLUG", help="only the benchmarks of a challenge")
    subject.add_argument("--benchmark", metavar="SLUG", help="only one benchmark")
    add_protocol(parser)
    parser.add_argument("--fetch", action="store_true", help="fetch from the hub what its cache lacks")
    parser.add_argument(
        "--export", type=Path, metavar="FOLDER", help="fetch, and write a data folder of JSONL files"
    )
    parser.add_argument("--json", action="store_true", help="print as JSON")


def _data(options: argparse.Namespace) -> Status:
    chosen = _chosen(options)
    if options.export is not None:
        for path in export(options.data, options.export, benchmarks=chosen):
            print(f"written: {path}", file=sys.stderr)
    holdings = describe(options.data, fetch=options.fetch, benchmarks=chosen)
    if options.json:
        print(as_json({"benchmarks": {holding.benchmark: holding.as_dict() for holding in holdings}}))
    else:
        for holding in holdings:
            _show(holding)
    return Status.INCOMPLETE if any(holding.items is None for holding in holdings) else Status.DONE


def _chosen(options: argparse.Namespace) -> list[Benchmark]:
    if options.benchmark:
        return [benchmarks.get(options.benchmark)]
    if options.challenge:
        return [BENCHMARKS[slug] for slug in rules.of(options.challenge, options.protocol).benchmarks]
    return list(BENCHMARKS.values())


def _show(holding: Holding) -> None:
    count = f"{holding.items:>6,}" if holding.items is not None else "  none"
    of = f" of {holding.official_items:>6,}"
    state = "official" if holding.official else "missing" if holding.items is None else "not official"
    print(f"{holding.benchmark:<21}{count}{of}  {state:<12}  {(holding.digest or '')[:12]}".rstrip())
    if holding.source is not None:
        print(paragraph(holding.source, "    from "))
    for reason in holding.reasons:
        print(paragraph(reason, "    "))
