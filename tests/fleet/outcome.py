"""What became of the work and of the readers, and what machines have on their disks that they should not."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO

from django.core.management import CommandError, call_command
from django.db.models import Count

from portal.runs.models import Evaluation
from portal.submissions.models import Submission
from tests.fleet.machines import Fleet
from tests.fleet.people import Load

BENCHMARKS = 3
_SCRATCH = ("runs", "fetches", "training", "incoming", "storage")


def judged(fleet: Fleet, load: Load) -> int:
    """Print it; 1 where something is wrong."""
    lost, doubled = list(_lost(load)), list(_doubled(load))
    behind = [*_left_behind(fleet), *_not_sound()]
    for name, found in (("lost", lost), ("doubled", doubled), ("left behind", behind)):
        for line in found:
            print(f"{name}: {line}")
    for line, count in load.failed.items():
        print(f"a reader met {count} x {line}")
    for line in load.refused:
        print(f"refused: {line}")
    tries = Evaluation.objects.filter(attempts__gt=0).count()
    print(f"{len(load.sent)} submissions, of which {tries} were evaluated again after a worker was lost")
    print(f"{load.read['pages']} pages read, the slowest in {load.slowest:.1f} s")
    errors = sum(load.failed.values())
    print(f"lost {len(lost)}, doubled {len(doubled)}, left behind {len(behind)}, errors to readers {errors}")
    return 1 if lost or doubled or behind or errors or load.refused else 0


def _lost(load: Load) -> Iterator[str]:
    for pk in load.sent:
        made = Submission.objects.filter(pk=pk).first()
        if made is None or made.status != "published":
            yield f"submission {pk} is {made.status if made else 'not there'}"
    for evaluation in Evaluation.objects.annotate(scored=Count("scores")).exclude(scored=BENCHMARKS):
        yield f"{evaluation} has {evaluation.scored} scores"


def _doubled(load: Load) -> Iterator[str]:
    if (rows := Submission.objects.count()) != len(load.sent):
        yield f"{rows} submissions of {len(load.sent)} that were taken"
    for made in Submission.objects.annotate(runs=Count("evaluations")).exclude(runs=1):
        yield f"{made} has {made.runs} evaluations"


def _left_behind(fleet: Fleet) -> Iterator[str]:
    for machine in fleet.machines.values():
        for name in _SCRATCH:
            for path in (machine.folder / name).rglob("*"):
                if path.is_file() and not path.name.startswith("wgunicorn-"):
                    yield f"{machine.name} has {path.relative_to(machine.folder)}"
        for name in machine.ended():
            if name not in ("migrate",):
                yield f"{name} of {machine.name} ended by itself"


def _not_sound() -> Iterator[str]:
    """What check_integrity finds in database, bucket, boards and log."""
    said = StringIO()
    try:
        call_command("check_integrity", stdout=said, stderr=said)
    except CommandError as error:
        yield f"{error}: {said.getvalue()}"
    yield from (line for line in said.getvalue().splitlines() if line.startswith(("orphan", "problem")))
