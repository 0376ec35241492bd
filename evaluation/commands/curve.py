"""`curve`: the kept adapters of a training run, each evaluated, against rounds, bytes and joules."""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path

from evaluation import rules
from evaluation.commands import progress
from evaluation.commands.files import as_json, check_writable, write_json
from evaluation.commands.options import Commands, add_command, add_data, add_protocol, number, real
from evaluation.commands.status import Status
from evaluation.commands.text import limits, percent
from evaluation.engines import AUTO, ENGINES
from evaluation.errors import DataError
from evaluation.hub import base_models
from evaluation.method.communication import GB, size_text
from evaluation.rules.protocol import PRECISIONS
from evaluation.running.curve import Point, best_within, first_to_reach, kept_adapters
from evaluation.running.run import Evaluator, Plan


def add(commands: Commands) -> None:
    parser = add_command(
        commands,
        "curve",
        _curve,
        summary="evaluate the adapters that a training run kept on its way",
        about=(
            "Evaluate each adapter that a run of `python -m evaluation.federated --keep-every` left in its "
            "output folder, and show the mean score against rounds, bytes sent and joules."
        ),
        examples=(
            "  python -m evaluation curve var/baselines/run --model demonstration --challenge finance \\\n"
            "      --precision fp32 --data demonstration --within-gb 0.5 --reach 0.6\n"
        ),
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the output folder of a run")
    parser.add_argument("--model", required=True, metavar=base_models.METAVAR, help=base_models.HELP)
    parser.add_argument("--challenge", required=True, metavar="SLUG", help="whose benchmarks are asked")
    parser.add_argument(
        "--engine", default=AUTO, metavar="NAME", help=f"{AUTO} (default), {', '.join(ENGINES)}"
    )
    parser.add_argument(
        "--precision", metavar="NAME", help=f"{', '.join(PRECISIONS)} (default: as the protocol says)"
    )
    parser.add_argument("--limit", type=number(1), metavar="N", help="ask only N items a benchmark")
    parser.add_argument(
        "--within-gb", type=real(0), metavar="GB", help="say the best score within so much sent"
    )
    parser.add_argument("--reach", type=real(0, 1), metavar="SHARE", help="say what a score from 0 to 1 took")
    add_protocol(parser)
    add_data(parser)
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the points as JSON")
    parser.add_argument("--json", action="store_true", help="print the points as JSON instead of a table")
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def _curve(options: argparse.Namespace) -> Status:
    slugs = rules.of(options.challenge, options.protocol).benchmarks
    check_writable((options.output,))
    kept, points, incomplete = kept_adapters(options.run), [], False
    with closing(Evaluator()) as evaluator:
        for one in kept:
            plan = Plan(
                model=options.model,
                benchmarks=slugs,
                adapter=one.adapter,
                protocol=options.protocol,
                engine=options.engine,
                precision=options.precision,
                data=options.data,
                limit=options.limit,
            )
            with progress.shown(len(slugs), quiet=options.quiet) as observer:
                outcome = evaluator.evaluate(plan, observer)
            incomplete |= any(score.unscored for score in outcome.scores)
            results = outcome.as_dict()
            if results["average"] is None:
                reached = f"round {one.spent.round} has no score"
                raise DataError(f"{reached}: no item of a benchmark could be scored")
            points.append(Point.of(one.spent, results["average"], results["average_interval"]))
    results = {"points": [point.as_dict() for point in points]}
    if options.output:
        write_json(options.output, results)
    if options.json:
        print(as_json(results))
    else:
        _show(points, options)
    return Status.INCOMPLETE if incomplete else Status.DONE


def _show(points: list[Point], options: argparse.Namespace) -> None:
    print(f"{'round':>6}{'score':>8}{'95% interval':>17}{'sent':>12}{'joules':>12}")
    for point in points:
        joules = "–" if point.joules is None else f"{point.joules:,.0f}"
        interval = limits(point.interval) if point.interval else "–"
        print(
            f"{point.round:>6}{percent(point.score):>8}{interval:>17}{size_text(point.bytes):>12}{joules:>12}"
        )
    if options.within_gb is not None:
        best = best_within(points, options.within_gb * GB, lambda point: point.bytes)
        found = f"{percent(best.score)} in round {best.round}" if best else "no kept round"
        print(f"within {options.within_gb:g} GB: {found}")
    if options.reach is not None:
        first = first_to_reach(points, options.reach)
        joules = f" and {first.joules:,.0f} joules" if first and first.joules is not None else ""
        cost = f"round {first.round}, {size_text(first.bytes)}{joules}" if first else "not reached"
        print(f"to {percent(options.reach)}: {cost}")
