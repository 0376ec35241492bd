"""`log`: what the workers noted on a submission's evaluations."""

from __future__ import annotations

from typing import Any

from flowertune.answers import LogLine, Submission
from flowertune.commands.options import Commands, Context, add_command, add_number, number
from flowertune.errors import ClientError, TemporaryError
from flowertune.exit_status import Status
from flowertune.site import Site
from flowertune.texts import log_text

_PAUSE_SECONDS = 3.0
_OVER = ("succeeded", "tried", "failed", "cancelled")


def add(commands: Commands) -> None:
    parser = add_command(
        commands,
        "log",
        _log,
        summary="show what the workers noted while they evaluated it",
        about=(
            "Show the log of a submission's newest evaluation, or of one of them: which worker, engine and "
            "precision, what was waited for and retried, warnings and errors. Times are of UTC."
        ),
        examples="  flowertune log 12\n  flowertune log 12 --follow\n  flowertune log 12 --evaluation 30\n",
    )
    add_number(parser)
    parser.add_argument(
        "--evaluation", type=number, metavar="NUMBER", help="one of its evaluations (default: the newest)"
    )
    parser.add_argument("--follow", action="store_true", help="go on until the evaluation has ended")


def _log(context: Context) -> Status:
    with context.site() as site:
        evaluation = _evaluation(context, site)
        rows: list[dict[str, Any]] = []
        while True:
            last = int(rows[-1]["number"]) if rows else 0
            answer = site.document("GET", f"evaluations/{evaluation}/log/", params={"after": str(last)})
            rows += answer["lines"]
            if context.options.follow:
                for row in answer["lines"]:
                    context.console.note(log_text(LogLine.read(row)))
            if not context.options.follow or answer["status"] in _OVER:
                break
            site.pause(_PAUSE_SECONDS)
    document = {"evaluation": evaluation, "status": answer["status"], "lines": rows}
    shown = [] if context.options.follow else [log_text(LogLine.read(row)) for row in rows]
    context.console.result(document, "\n".join(shown) or f"Evaluation {evaluation}: {answer['status']}.")
    return Status.DONE


def _evaluation(context: Context, site: Site) -> int:
    """The number of the one that is asked for. Raises ClientError where there is none."""
    submission = Submission.read(site.document("GET", f"submissions/{context.options.id}/"))
    wanted: int | None = context.options.evaluation
    if not submission.evaluations:
        raise TemporaryError(f"Submission {submission.id} was not queued for an evaluation yet.")
    if wanted is None:
        return (submission.latest or submission.evaluations[-1]).id
    if wanted not in [evaluation.id for evaluation in submission.evaluations]:
        raise ClientError(f"Submission {submission.id} has no evaluation {wanted}.")
    return wanted
