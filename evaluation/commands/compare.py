"""`compare`: the paired tests of two results files, and what follows from them in words."""

from __future__ import annotations

import argparse
from pathlib import Path

from evaluation.commands.files import as_json
from evaluation.commands.options import Commands, add_command, number
from evaluation.commands.status import Status
from evaluation.commands.text import estimate, p_statement, p_value, paragraph, points
from evaluation.running.comparison import Comparison, Results, compare, conclusions
from evaluation.statistics import RESAMPLES


def add(commands: Commands) -> None:
    parser = add_command(
        commands,
        "compare",
        _compare,
        summary="test two results against each other, item by item",
        about=(
            "Compare two results files of the same items under the same protocol: exact McNemar tests by "
            "benchmark, with Holm's correction; the paired interval and a paired randomisation test "
            "of the averages' difference."
        ),
        examples=(
            "  python -m evaluation compare before.json after.json\n"
            "  python -m evaluation compare a.json b.json --json > comparison.json\n"
        ),
    )
    parser.add_argument("a", type=Path, metavar="A", help="a results file (from `run --output`)")
    parser.add_argument("b", type=Path, metavar="B", help="the results file to compare it with")
    parser.add_argument("--json", action="store_true", help="print as JSON")
    parser.add_argument(
        "--resamples",
        type=number(999, 1_000_000),
        default=RESAMPLES,
        metavar="N",
        help=f"of the randomisation test (default: {RESAMPLES:,})",
    )
    parser.add_argument(
        "--seed", type=number(0), default=0, metavar="N", help="of the resamples (default: 0)"
    )


def _compare(options: argparse.Namespace) -> Status:
    comparison = compare(
        Results.read(options.a), Results.read(options.b), resamples=options.resamples, seed=options.seed
    )
    if options.json:
        print(as_json(comparison.as_dict()))
    else:
        _show(comparison)
    return Status.DONE


def _show(comparison: Comparison) -> None:
    for name, results in (("a", comparison.a), ("b", comparison.b)):
        adapter = " with an adapter" if results.adapter else ""
        facts = f"{results.model}{adapter}, {results.engine}, {results.precision or 'no precision'}"
        print(f"{name}: {results.path}\n{paragraph(facts, '   ')}")
    print()
    _show_scores(comparison)
    print()
    _show_tests(comparison)
    print()
    for warning in comparison.warnings:
        print(paragraph(warning, "warning: "))
    for sentence in conclusions(comparison):
        print(paragraph(sentence, "> "))


def _show_scores(comparison: Comparison) -> None:
    several = len(comparison.benchmarks) > 1
    print(f"{'score, 95% interval':<22}{'a':>23}  {'b':>23}{'a - b':>9}")
    for result in comparison.benchmarks:
        a = estimate(result.score_a, result.interval_a)
        b = estimate(result.score_b, result.interval_b)
        print(f"{result.benchmark:<22}{a:>23}  {b:>23}{points(result.pairs.difference):>9}")
    if several:
        a, b = estimate(*comparison.average_a), estimate(*comparison.average_b)
        print(f"{'average':<22}{a:>23}  {b:>23}{points(comparison.difference):>9}")
    subject = "the averages' difference" if several else "the difference"
    low, high = (points(limit) for limit in comparison.interval)
    print(
        paragraph(
            f"{subject}: 95% interval [{low}, {high}] points, {p_statement(comparison.p_value)} "
            f"(paired randomisation test); {comparison.resamples:,} resamples, seed {comparison.seed}"
        )
    )


def _show_tests(comparison: Comparison) -> None:
    print(
        f"{'right answers':<22}{'items':>8}{'both':>8}{'only a':>8}{'only b':>8}{'exact p':>10}{'Holm p':>10}"
    )
    for result in comparison.benchmarks:
        pairs = result.pairs
        print(
            f"{result.benchmark:<22}{pairs.items:>8,}{pairs.both:>8,}{pairs.only_a:>8,}{pairs.only_b:>8,}"
            f"{p_value(result.p_value):>10}{p_value(result.p_holm):>10}"
        )
