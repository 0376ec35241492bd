"""`list`: the challenges, benchmarks, protocols, engines and precisions that there are."""

from __future__ import annotations

import argparse
from typing import Any

from evaluation.benchmarks import BENCHMARKS
from evaluation.commands.files import as_json
from evaluation.commands.options import Commands, add_command
from evaluation.commands.status import Status
from evaluation.commands.text import paragraph
from evaluation.engines import AUTO, ENGINES
from evaluation.rules import protocol
from evaluation.rules.challenges import CHALLENGES
from evaluation.rules.protocol import PRECISIONS


def add(commands: Commands) -> None:
    parser = add_command(
        commands,
        "list",
        _list,
        summary="show challenges, benchmarks, protocols and engines",
        about="Show what can be evaluated, and the names that the other commands take.",
        examples="  python -m evaluation list\n  python -m evaluation list --json\n",
    )
    parser.add_argument("--json", action="store_true", help="print as JSON")


def _list(options: argparse.Namespace) -> Status:
    if options.json:
        print(as_json(_as_dict()))
        return Status.DONE
    for challenge in CHALLENGES.values():
        precision = protocol.CURRENT.precisions[challenge.slug]
        metric = BENCHMARKS[challenge.benchmarks[0]].metric
        about = f"{challenge.title}, {metric} in {precision}. {challenge.summary}"
        print(paragraph(about, f"{challenge.slug}: "))
        for slug in challenge.benchmarks:
            benchmark = BENCHMARKS[slug]
            print(paragraph(benchmark.source, f"  {slug:<21}{benchmark.rows:>6,} items  "))
        print()
    print(f"protocols:  {', '.join(map(str, protocol.PROTOCOLS))}")
    print(f"engines:    {', '.join((AUTO, *ENGINES))}")
    print(f"precisions: {', '.join(PRECISIONS)}")
    return Status.DONE


def _as_dict() -> dict[str, Any]:
    return {
        "challenges": {
            challenge.slug: {
                "title": challenge.title,
                "summary": challenge.summary,
                "precision": protocol.CURRENT.precisions[challenge.slug],
                "benchmarks": {
                    slug: {
                        "title": BENCHMARKS[slug].title,
                        "rows": BENCHMARKS[slug].rows,
                        "metric": BENCHMARKS[slug].metric,
                        "source": BENCHMARKS[slug].source,
                        "digest": BENCHMARKS[slug].digest,
                    }
                    for slug in challenge.benchmarks
                },
            }
            for challenge in CHALLENGES.values()
        },
        "protocols": list(protocol.PROTOCOLS),
        "engines": [AUTO, *ENGINES],
        "precisions": list(PRECISIONS),
    }
