"""The command line: list what there is, run benchmarks on a model, score completions made elsewhere."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from evaluation import protocol
from evaluation.benchmarks import BENCHMARKS
from evaluation.challenges import CHALLENGES
from evaluation.engines import AUTO, ENGINES
from evaluation.errors import EvaluationError
from evaluation.protocol import PRECISIONS
from evaluation.run import Evaluation, Evaluator, Observer, Plan, Progress, benchmarks_of, score_completions
from evaluation.score import Score, write_items

_INTERVAL_SECONDS = 5.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0, or 1 for an error shown on stderr."""
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except EvaluationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m evaluation", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    show = commands.add_parser("list", help="show challenges, benchmarks, protocols and engines")
    show.set_defaults(command=_list)

    run = commands.add_parser("run", help="evaluate a model on benchmarks")
    run.set_defaults(command=_run)
    run.add_argument("--model", required=True, metavar="DIR_OR_ID", help="a folder or a hub id")
    run.add_argument("--adapter", type=Path, metavar="DIR", help="a PEFT adapter for it")
    subject = run.add_mutually_exclusive_group(required=True)
    subject.add_argument("--challenge", metavar="SLUG", help="evaluate all benchmarks of a challenge")
    subject.add_argument("--benchmark", metavar="SLUG", help="evaluate one benchmark")
    run.add_argument("--engine", default=AUTO, metavar="NAME", help=f"{AUTO} or {', '.join(ENGINES)}")
    run.add_argument(
        "--precision", metavar="NAME", help=f"{', '.join(PRECISIONS)} (default: as the protocol says)"
    )
    run.add_argument("--limit", type=_positive, metavar="N", help="ask only N items a benchmark")
    _add_common(run)

    score = commands.add_parser("score", help="score completions that were made elsewhere")
    score.set_defaults(command=_score)
    score.add_argument("--benchmark", required=True, metavar="SLUG")
    score.add_argument(
        "--completions", required=True, type=Path, metavar="FILE", help='{"id": …, "completion": …} a line'
    )
    _add_common(score)
    return parser


def _add_common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--protocol", type=int, default=protocol.CURRENT.number, metavar="N")
    command.add_argument(
        "--data",
        default=os.environ.get("EVALUATION_DATA"),
        metavar="DIR",
        help="folder with mmlu.jsonl, fpb.jsonl …, or `demonstration` (default: EVALUATION_DATA)",
    )
    command.add_argument("--output", type=Path, metavar="FILE", help="write the results as JSON")
    command.add_argument("--items", type=Path, metavar="FILE", help="write every item as a JSON line")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _list(options: argparse.Namespace) -> None:  # noqa: ARG001 - all commands are called alike
    for challenge in CHALLENGES.values():
        note = "" if challenge.evaluable else "  (cannot be evaluated by this version)"
        print(f"{challenge.slug}: {challenge.title}{note}\n  {challenge.summary}")
        for slug in challenge.benchmarks:
            benchmark = BENCHMARKS.get(slug)
            about = f"{benchmark.rows:>6,} items  {benchmark.source}" if benchmark else ""
            print(f"  {slug:<22}{about}".rstrip())
    print(f"protocols: {', '.join(map(str, protocol.PROTOCOLS))}")
    print(f"engines: {', '.join(ENGINES)}")
    print(f"precisions: {', '.join(PRECISIONS)}")


def _run(options: argparse.Namespace) -> None:
    slugs = (options.benchmark,) if options.benchmark else benchmarks_of(options.challenge)
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
    _check_writable(options)
    _report(Evaluator().evaluate(plan, _Console()), options)


def _score(options: argparse.Namespace) -> None:
    _check_writable(options)
    _report(
        score_completions(options.benchmark, options.completions, options.data, options.protocol), options
    )


def _check_writable(options: argparse.Namespace) -> None:
    """Refuse before a long run what would fail after it."""
    for path in (options.output, options.items):
        if path is not None and not path.absolute().parent.is_dir():
            raise EvaluationError(f"{path} cannot be written: there is no folder {path.parent}")


def _report(evaluation: Evaluation, options: argparse.Namespace) -> None:
    results = evaluation.as_dict()
    if options.items:
        write_items(options.items, evaluation.scores)
    if options.output:
        options.output.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{'benchmark':<22}{'score':>7}{'± se':>7}{'n':>7}{'unscored':>10}  data")
    for result in evaluation.scores:
        print(_line(result))
    if results["average"] is not None and len(evaluation.scores) > 1:
        print(f"{'average':<22}{100 * results['average']:>7.2f}")
    for reason in dict.fromkeys(reason for result in evaluation.scores for reason in result.unofficial):
        print(f"not official: {reason}")


def _line(result: Score) -> str:
    value = f"{100 * result.value:.2f}" if result.value is not None else "–"
    stderr = f"{100 * result.stderr:.2f}" if result.stderr is not None else "–"
    counts = f"{result.n:>7,}{result.unscored:>10,}"
    return f"{result.benchmark:<22}{value:>7}{stderr:>7}{counts}  {result.data}"


class _Console(Observer):
    """Tells on stderr how far a run is, at most every few seconds."""

    def __init__(self) -> None:
        self._last = 0.0

    def loading(self) -> None:
        print("loading the model", file=sys.stderr)

    def progress(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.done == progress.total or now - self._last >= _INTERVAL_SECONDS:
            self._last = now
            print(f"{progress.benchmark}: {progress.done}/{progress.total}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
