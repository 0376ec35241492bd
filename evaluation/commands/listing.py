"""`list`: the challenges, benchmarks, protocols, engines and precisions that there are."""

from __future__ import annotations

import argparse
from typing import Any

from evaluation import rules
from evaluation.benchmarks import BENCHMARKS
from evaluation.commands.files import as_json
from evaluation.commands.options import Commands, add_command, add_protocol
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
    add_protocol(parser)
    parser.add_argument("--json", action="store_true", help="print as JSON")


def _list(options: argparse.Namespace) -> Status:
    if options.json:
        print(as_json(_as_dict(options.protocol)))
        return Status.DONE
    for slug, challenge in CHALLENGES.items():
        asked = rules.of(slug, options.protocol)
        metric = BENCHMARKS[asked.benchmarks[0]].metric
        about = f"{challenge.title}, {metric} in {asked.precision}. {challenge.summary}"
        print(paragraph(about, f"{slug}: "))
        for benchmark in map(BENCHMARKS.__getitem__, asked.benchmarks):
            print(paragraph(benchmark.source, f"  {benchmark.slug:<21}{benchmark.rows:>6,} items  "))
        print()
    print(f"protocols:  {', '.join(map(str, protocol.PROTOCOLS))}")
    print(f"engines:    {', '.join((AUTO, *ENGINES))}")
    print(f"precisions: {', '.join(PRECISIONS)}")
    return Status.DONE


def _as_dict(number: int) -> dict[str, Any]:
    under = [rules.of(slug, number) for slug in CHALLENGES]
    return {
        "challenges": {
            asked.challenge.slug: {
                "title": asked.challenge.title,
                "summary": asked.challenge.summary,
                "precision": asked.precision,
                "benchmarks": {
                    slug: {
                        "title": BENCHMARKS[slug].title,
                        "rows": BENCHMARKS[slug].rows,
                        "metric": BENCHMARKS[slug].metric,
                        "source": BENCHMARKS[slug].source,
                        "digest": BENCHMARKS[slug].digest,
                    }
                    for slug in asked.benchmarks
                },
            }
            for asked in under
        },
        "protocols": list(protocol.PROTOCOLS),
        "engines": [AUTO, *ENGINES],
        "precisions": list(PRECISIONS),
    }
