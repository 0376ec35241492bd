"""`energy`: one evaluation several times over, and how far the energy of its answers lies apart."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from evaluation import rules
from evaluation.commands import progress
from evaluation.commands.files import as_json, check_writable, write_json
from evaluation.commands.options import Commands, add_command, add_data, add_protocol, number
from evaluation.commands.status import Status
from evaluation.commands.text import paragraph
from evaluation.energy import Energy, Spread, total
from evaluation.engines import AUTO, ENGINES
from evaluation.errors import EvaluationError
from evaluation.hub import base_models
from evaluation.rules.protocol import PRECISIONS
from evaluation.running.run import Evaluator, Outcome, Plan

_TIMES = 5


def add(commands: Commands) -> None:
    parser = add_command(
        commands,
        "energy",
        _energy,
        summary="repeat an evaluation and show how well its energy repeats",
        about=(
            "Evaluate a model several times over, loaded once, and show the energy of an answer: mean and "
            "standard deviation, gross and above idle, with the counters. Nothing else should run meanwhile."
        ),
        examples=(
            "  python -m evaluation energy --model demonstration --challenge finance \\\n"
            "      --precision bf16 --data demonstration --times 5\n"
        ),
    )
    parser.add_argument("--model", required=True, metavar=base_models.METAVAR, help=base_models.HELP)
    parser.add_argument("--adapter", type=Path, metavar="DIR", help="a PEFT adapter for it")
    parser.add_argument("--challenge", required=True, metavar="SLUG", help="whose benchmarks are asked")
    parser.add_argument(
        "--engine", default=AUTO, metavar="NAME", help=f"{AUTO} (default), {', '.join(ENGINES)}"
    )
    parser.add_argument(
        "--precision", metavar="NAME", help=f"{', '.join(PRECISIONS)} (default: as the protocol says)"
    )
    parser.add_argument("--limit", type=number(1), metavar="N", help="ask only N items a benchmark")
    parser.add_argument(
        "--times", type=number(2), default=_TIMES, metavar="N", help=f"evaluate so often (default: {_TIMES})"
    )
    add_protocol(parser)
    add_data(parser)
    parser.add_argument("--output", type=Path, metavar="FILE", help="write each measurement as JSON")
    parser.add_argument("--json", action="store_true", help="print that instead of a table")
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def _energy(options: argparse.Namespace) -> Status:
    slugs = rules.of(options.challenge, options.protocol).benchmarks
    check_writable((options.output,))
    plan = Plan(
        model=options.model,
        benchmarks=slugs,
        adapter=options.adapter,
        protocol=options.protocol,
        engine=options.engine,
        precision=options.precision,
        data=options.data,
        limit=options.limit,
    )
    outcomes: list[Outcome] = []
    with closing(Evaluator()) as evaluator:
        for _ in range(options.times):
            with progress.shown(len(slugs), quiet=options.quiet) as observer:
                outcomes.append(evaluator.evaluate(plan, observer))
            _check(outcomes[-1])
    results = _as_dict(outcomes)
    if options.output:
        write_json(options.output, results)
    if options.json:
        print(as_json(results))
    else:
        _show(outcomes)
    incomplete = any(score.unscored for outcome in outcomes for score in outcome.scores)
    return Status.INCOMPLETE if incomplete else Status.DONE


def _whole(outcome: Outcome) -> Energy:
    return total([score.cost.energy for score in outcome.scores])


def _check(outcome: Outcome) -> None:
    """Raises EvaluationError where nothing was measured, which the next evaluations would not change."""
    whole = _whole(outcome)
    if whole.joules is None:
        raise EvaluationError(f"no energy was measured: {whole.method or 'nothing here counts it'}")


def _as_dict(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Each benchmark's figures in the order of the evaluations."""
    return {
        "times": len(outcomes),
        "method": _whole(outcomes[0]).method,
        "benchmarks": {
            scores[0].benchmark: {
                "n": scores[0].n,
                "joules": [score.cost.energy.joules for score in scores],
                "net_joules": [score.cost.energy.net_joules for score in scores],
                "seconds": [score.cost.energy.seconds for score in scores],
                "idle_watts": scores[0].cost.energy.idle_watts,
            }
            for scores in zip(*(outcome.scores for outcome in outcomes), strict=True)
        },
    }


def _show(outcomes: Sequence[Outcome]) -> None:
    print(f"{'joules an answer':<21}{'items':>8}{'gross':>22}{'above idle':>22}")
    for scores in zip(*(outcome.scores for outcome in outcomes), strict=True):
        energies = [score.cost.energy for score in scores]
        print(f"{scores[0].benchmark:<21}{scores[0].n:>8,}{_spreads(energies, scores[0].n)}")
    n = sum(score.n for score in outcomes[0].scores)
    wholes = [_whole(outcome) for outcome in outcomes]
    print(f"{'all':<21}{n:>8,}{_spreads(wholes, n)}")
    idle = wholes[0].idle_watts
    taken_off = "idle power is not known" if idle is None else f"{idle:.1f} W of idle power taken off"
    print(paragraph(f"{len(outcomes)} evaluations, mean ± standard deviation; {taken_off}"))
    for method in dict.fromkeys(whole.method for whole in wholes):
        print(paragraph(method, "meter: "))


def _spreads(energies: Sequence[Energy], n: int) -> str:
    """Of an answer, gross and above idle; a dash where one evaluation does not know it."""
    gross = _spread([energy.joules for energy in energies], n)
    return f"{gross:>22}{_spread([energy.net_joules for energy in energies], n):>22}"


def _spread(joules: Sequence[float | None], n: int) -> str:
    known = [value / n for value in joules if value is not None]
    if len(known) < len(joules):
        return "–"
    spread = Spread.of(known)
    apart = "" if spread.relative is None else f" ± {100 * spread.relative:.1f}%"
    return f"{spread.mean:.4g}{apart}"
