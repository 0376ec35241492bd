"""`manage.py study`: plans, starts, follows and exports studies."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from evaluation.errors import EvaluationError
from evaluation.federated import study as plans
from portal.accounts.access import trains_here
from portal.accounts.models import User
from portal.baselines.studies import services
from portal.baselines.studies.estimates import Estimate, Span, estimate
from portal.baselines.studies.exports import FORMATS
from portal.baselines.studies.planning import StudyRefused, check, on_site
from portal.baselines.studies.table import state_in_words, summary_of, table_of
from portal.runs.models import Study

_UNITS = ((1024**4, "TB"), (1024**3, "GB"), (1024**2, "MB"), (1024, "KB"))


class Command(BaseCommand):
    help = (
        "A study is one TOML file: base models by challenges, strategies, adapters, partitions and seeds. "
        "`plan` says what it will take and starts nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        steps = parser.add_subparsers(dest="step", required=True)
        preset = steps.add_parser("preset", help="print a plan to start from")
        preset.add_argument(
            "name", help=f"one of {', '.join(path.stem for path in plans.PLANS.glob('*.toml'))}"
        )
        plan = steps.add_parser("plan", help="check a plan and say what it will take")
        start = steps.add_parser("start", help="queue all its runs")
        for one in (plan, start):
            one.add_argument("file", metavar="PLAN.toml", help="- for standard input")
        start.add_argument(
            "--priority", type=int, default=services.BEHIND_SINGLE_RUNS,
            help="above 0 goes before runs of no study, below 0 behind them (%(default)s)",
        )  # fmt: skip
        status = steps.add_parser("status", help="list the studies, or one's cells")
        status.add_argument("id", type=int, nargs="?")
        again = steps.add_parser("again", help="run failed and cancelled places again")
        again.add_argument("--cell", type=int, help="of this cell alone")
        for one in (start, again):
            one.add_argument(
                "--user", required=True, help="staff who may train: the entries are sent by them"
            )
        priority = steps.add_parser("priority", help="let what is queued wait by another priority")
        export = steps.add_parser("export", help="write the study as a file")
        for one in (again, priority, export):
            one.add_argument("id", type=int)
        priority.add_argument("priority", type=int)
        export.add_argument("--format", choices=list(FORMATS), default="csv")
        export.add_argument("--output", type=Path, help="a file (default: standard output)")

    def handle(self, *args: Any, step: str, **options: Any) -> None:
        try:
            getattr(self, f"_{step}")(options)
        except StudyRefused as refusal:
            raise CommandError(str(refusal)) from refusal

    def _preset(self, options: dict[str, Any]) -> None:
        try:
            self.stdout.write(plans.named(options["name"]), ending="")
        except EvaluationError as error:
            raise CommandError(str(error)) from error

    def _plan(self, options: dict[str, Any]) -> None:
        planned = on_site(_text(options["file"]))
        for finding in check(planned):
            self.stdout.write(f"{finding.severity}: {finding.message}")
        for line in in_lines(estimate(planned)):
            self.stdout.write(line)

    def _start(self, options: dict[str, Any]) -> None:
        user = _user(options["user"])
        study = services.start(_text(options["file"]), requester=user, priority=options["priority"])
        self.stdout.write(f"{study} is queued; its page is {study.get_absolute_url()}")

    def _status(self, options: dict[str, Any]) -> None:
        if options["id"] is None:
            for study in Study.objects.all():
                told = summary_of(study, sees_all=True)
                self.stdout.write(f"{study}: {told.scored} of {told.plan.runs} runs scored")
            return
        table = table_of(_study(options["id"]), sees_all=True)
        self.stdout.write(f"{table.study}: {table.scored} of {table.plan.runs} runs scored")
        for result in table.cells:
            score = result.score
            figure = f" {100 * score.value:.2f} over {score.seeds} seed(s)" if score else ""
            self.stdout.write(f"{result.cell.number:5d} {state_in_words(result)}{figure}")

    def _again(self, options: dict[str, Any]) -> None:
        study, user = _study(options["id"]), _user(options["user"])
        queued = services.run_again(study, requester=user, cell=options["cell"])
        self.stdout.write(f"{queued} runs are queued again")

    def _priority(self, options: dict[str, Any]) -> None:
        study = _study(options["id"])
        services.set_priority(study, options["priority"])
        self.stdout.write(f"{study} has priority {study.priority}")

    def _export(self, options: dict[str, Any]) -> None:
        table = table_of(_study(options["id"]), sees_all=True)
        text = FORMATS[options["format"]].write(table)
        if options["output"]:
            options["output"].write_text(text, encoding="utf-8")
        else:
            self.stdout.write(text, ending="")


def in_lines(found: Estimate) -> list[str]:
    """An estimate for a terminal."""
    return [
        f"runs            {found.runs:,} ({found.cells:,} cells)",
        f"GPU hours       {_span(found.gpu, 3600, 'h')}",
        f"one worker      {_span(found.on_the_clock, 3600, 'h')}",
        f"  training      {_span(found.training, 3600, 'h')}",
        f"  evaluating    {_span(found.evaluation, 3600, 'h')}",
        f"communication   {_bytes(found.communication)}",
        f"disk            {_bytes(found.disk)}: adapters {_bytes(found.adapters)}, base models to fetch "
        f"{_bytes(found.weights)}",
        f"energy          {_span(found.energy, 3.6e6, 'kWh')}",
        *found.basis,
    ]


def _span(span: Span | None, unit: float, word: str) -> str:
    return f"{span.low / unit:.3g} to {span.high / unit:.3g} {word}" if span else "not known"


def _bytes(number: int | None) -> str:
    if number is None:
        return "not known"
    unit, name = next(((unit, name) for unit, name in _UNITS if number >= unit), _UNITS[-1])
    return f"{number / unit:,.4g} {name}"


def _text(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{name} cannot be read: {error}") from error


def _study(number: int) -> Study:
    study = Study.objects.filter(pk=number).first()
    if study is None:
        raise CommandError(f"there is no study {number}; `manage.py study status` lists them")
    return study


def _user(name: str) -> User:
    user = User.objects.filter(username=name, is_active=True).first()
    if user is None or not trains_here(user):
        raise CommandError(f"{name} is no active account that may start training runs here")
    return user
