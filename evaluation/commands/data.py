"""`data`: what benchmark data there is, before a run finds out; fetching it, taking it elsewhere, and saying
which rows are the official ones where nobody knows a digest.
"""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from dataclasses import asdict
from pathlib import Path

from evaluation import benchmarks, rules
from evaluation.benchmarks import BENCHMARKS, Benchmark
from evaluation.commands.files import as_json
from evaluation.commands.options import Commands, add_command, add_data, add_protocol
from evaluation.commands.status import Status
from evaluation.commands.text import paragraph
from evaluation.data import Candidate, Holding, RegisterFile, candidate, describe, export, training
from evaluation.errors import EvaluationError
from evaluation.rules import challenges

_LONGEST_NAME = 120


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
            "  python -m evaluation data --adopt fiqa\n"
        ),
    )
    add_data(parser)
    subject = parser.add_mutually_exclusive_group()
    subject.add_argument("--challenge", metavar="SLUG", help="only the benchmarks of a challenge")
    subject.add_argument("--benchmark", metavar="SLUG", help="only one benchmark")
    subject.add_argument(
        "--adopt",
        metavar="NAME",
        help="show what the hub has now for a benchmark or a training set, and register it as the official "
        "rows: its commit, digest, who and when, in the file EVALUATION_REGISTER",
    )
    subject.add_argument(
        "--training-set",
        metavar="SLUG",
        help="fetch a challenge's training set, with --export into a folder, and say where it is",
    )
    parser.add_argument("--by", metavar="NAME", help="with --adopt: who adopts (default: the user's name)")
    add_protocol(parser)
    parser.add_argument("--fetch", action="store_true", help="fetch from the hub what its cache lacks")
    parser.add_argument(
        "--export", type=Path, metavar="FOLDER", help="fetch, and write a data folder of JSONL files"
    )
    parser.add_argument("--json", action="store_true", help="print as JSON")


def _data(options: argparse.Namespace) -> Status:
    register = RegisterFile()
    if options.adopt is not None:
        return _adopt(candidate(options.adopt, _adopter(options.by)), register, options)
    if options.training_set is not None:
        return _training_set(options.training_set, register, options)
    chosen = _chosen(options)
    if options.export is not None:
        for path in export(options.data, options.export, benchmarks=chosen, register=register):
            print(f"written: {path}", file=sys.stderr)
    holdings = describe(options.data, fetch=options.fetch, benchmarks=chosen, register=register)
    if options.json:
        print(as_json({"benchmarks": {holding.benchmark: holding.as_dict() for holding in holdings}}))
    else:
        for holding in holdings:
            _show(holding)
    return Status.INCOMPLETE if any(holding.items is None for holding in holdings) else Status.DONE


def _adopt(found: Candidate, register: RegisterFile, options: argparse.Namespace) -> Status:
    """Show the rows, ask a person who can be asked, and register them."""
    new = found.registration
    if not options.json:
        _show_candidate(found)
        if sys.stdin.isatty() and not _agreed(f"Take these rows for {new.name} from now on? [y/N] "):
            print("nothing was adopted")
            return Status.INCOMPLETE
    registered = register.record(new)
    if options.json:
        print(as_json(asdict(registered)))
        return Status.DONE
    again = "" if registered == new else "was "
    print(f"{again}registered: {registered.name}, by {registered.by or 'first sight'} at {registered.at}")
    print(paragraph(str(register.path), "    in "))
    return Status.DONE


def _training_set(slug: str, register: RegisterFile, options: argparse.Namespace) -> Status:
    wanted = challenges.get(slug).training_set
    path = training.fetch(wanted, options.export or training.default_folder(), register)
    registered = register.of(wanted.hub_id)
    assert registered  # at the latest by `fetch`
    if options.json:
        print(as_json({"file": str(path), **asdict(registered)}))
        return Status.DONE
    print(f"{registered.origin}: {registered.rows:,} rows")
    print(f"    digest {registered.digest}")
    print(paragraph(str(path), "    in "))
    return Status.DONE


def _agreed(question: str) -> bool:
    return input(question).strip().lower() in ("y", "yes")


def _show_candidate(found: Candidate) -> None:
    new = found.registration
    print(f"{new.name}: {new.rows:,} rows of {new.dataset}")
    print(f"    {found.revision} is commit {new.commit}")
    print(f"    digest {new.digest}")
    for row in found.sample:
        print(paragraph(f"{json.dumps(row, ensure_ascii=False):.300}", "    "))


def _adopter(given: str | None) -> str:
    """Who adopts, as everybody will read it."""
    try:
        name = given or getpass.getuser()
    except (KeyError, OSError) as error:
        raise EvaluationError("this user has no name; say who adopts with --by") from error
    if not name.isprintable() or len(name) > _LONGEST_NAME:
        raise EvaluationError(f"{name!a:.80} is no name of one line of at most {_LONGEST_NAME} characters")
    return name


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
