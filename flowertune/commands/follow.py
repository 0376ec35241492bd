"""`status`, `watch`, `evaluate`, `results` and `withdraw`: what became of a submission."""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path

from evaluation.commands.files import replacing
from flowertune.answers import DRAFT, Evaluation, Submission
from flowertune.commands.options import Commands, Context, add_command, add_number, number
from flowertune.errors import ClientError, TemporaryError, UsageError
from flowertune.exit_status import Status
from flowertune.site import Site
from flowertune.texts import scores_text, status_line, submission_text, submissions_text
from flowertune.watching import outcome, watch

_SHOWN = 50


def add(commands: Commands) -> None:
    status = add_command(
        commands,
        "status",
        _status,
        summary="show your submissions, or one with findings and scores",
        about=f"Show your teams' newest {_SHOWN} submissions, or one with its progress, scores and findings.",
        examples="  flowertune status\n  flowertune status 12\n",
    )
    status.add_argument("id", type=number, nargs="?", metavar="ID", help="a submission's number")
    _add_watch(commands)
    evaluate = add_command(
        commands,
        "evaluate",
        _evaluate,
        summary="go on in full after a smoke run",
        about="Queue a submission whose smoke run is done for its evaluation in full.",
        examples="  flowertune evaluate 12\n  flowertune evaluate 12 --watch\n",
    )
    add_number(evaluate)
    evaluate.add_argument("--watch", action="store_true", help="follow it until it is evaluated")
    add_watching(evaluate)
    results = add_command(
        commands,
        "results",
        _results,
        summary="show scores, download the single answers",
        about="Show the scores of the newest complete evaluation, with 95% intervals.",
        examples="  flowertune results 12\n  flowertune results 12 --items answers/ --json > results.json\n",
    )
    add_number(results)
    results.add_argument(
        "--items",
        type=Path,
        metavar="FOLDER",
        help="write every answer as a line of JSON, a file a benchmark",
    )
    withdraw = add_command(
        commands,
        "withdraw",
        _withdraw,
        summary="take a submission back for good",
        about="Take a submission back for good: a running evaluation is cancelled, a draft is deleted.",
        examples="  flowertune withdraw 12\n  flowertune withdraw 12 --yes\n",
    )
    add_number(withdraw)
    withdraw.add_argument("--yes", action="store_true", help="do not ask; needed where nobody can be asked")


def _add_watch(commands: Commands) -> None:
    parser = add_command(
        commands,
        "watch",
        _watch,
        summary="follow a submission until it is evaluated",
        about=(
            "Follow a submission until its evaluation has ended, however it did: from then on a reviewer "
            "decides. Exit status 0 means that it has scores."
        ),
        examples="  flowertune watch 12\n  flowertune watch 12 --decided --timeout 86400\n",
    )
    add_number(parser)
    add_watching(parser)


def add_watching(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--decided", action="store_true", help="follow it until a reviewer has decided too")
    parser.add_argument(
        "--timeout", type=number, metavar="SECONDS", help="stop watching after so long (exit status 75)"
    )


def watch_to_the_end(context: Context, site: Site, submission: int) -> Status:
    """Follow it with live progress, and show what came of it."""
    console, last = context.console, ""

    def seen(state: Submission) -> None:
        nonlocal last
        if (line := status_line(state)) != last:
            console.note(line)
            last = line

    document = watch(
        site,
        submission,
        seen,
        until_decided=context.options.decided,
        seconds=context.options.timeout,
    )
    end = Submission.read(document)
    console.result(document, submission_text(end))
    bad = outcome(end)
    if bad:
        console.note(f"error: {bad}")
    return bad.status if bad else Status.DONE


def _status(context: Context) -> Status:
    with context.site() as site:
        if context.options.id is not None:
            document = site.document("GET", f"submissions/{context.options.id}/")
            context.console.result(document, submission_text(Submission.read(document)))
            return Status.DONE
        rows = list(islice(site.rows("submissions/", mine="true", page_size=str(_SHOWN)), _SHOWN))
    context.console.result({"results": rows}, submissions_text([Submission.read(row) for row in rows]))
    return Status.DONE


def _watch(context: Context) -> Status:
    with context.site() as site:
        return watch_to_the_end(context, site, context.options.id)


def _evaluate(context: Context) -> Status:
    with context.site() as site:
        submission = context.options.id
        # The key never changes: the wish is one however often it is said.
        headers = {"Idempotency-Key": f"evaluate-{submission}"}
        document = site.document("POST", f"submissions/{submission}/evaluate/", headers=headers)
        context.console.note(f"Submission {submission} is in the queue for its evaluation in full.")
        if context.options.watch:
            return watch_to_the_end(context, site, submission)
    context.console.result(document, submission_text(Submission.read(document)))
    return Status.DONE


def _results(context: Context) -> Status:
    with context.site(needs_token=False) as site:
        document = site.document("GET", f"submissions/{context.options.id}/")
        submission = Submission.read(document)
        evaluation = submission.result
        if evaluation is None:
            raise _no_results(submission)
        files = _download(context, site, evaluation) if context.options.items else {}
    chosen = next(row for row in document["evaluations"] if row["id"] == evaluation.id)
    average = sum(score.value for score in evaluation.scores) / max(1, len(evaluation.scores))
    answer = {"submission": submission.id, "average": average, "evaluation": chosen, "files": files}
    title = f"Submission {submission.id}, evaluation {evaluation.id}, protocol {evaluation.protocol}"
    written = "".join(f"\nwritten: {path}" for path in files.values())
    context.console.result(answer, f"{title}\n\n{scores_text(evaluation)}{written}")
    return Status.DONE


def _no_results(submission: Submission) -> ClientError:
    if bad := outcome(submission):
        return bad
    if submission.status == DRAFT:
        return ClientError(f"Submission {submission.id} is a draft that was not sent.")
    return TemporaryError(
        f"Submission {submission.id} has no results yet ({status_line(submission)}). "
        f"`flowertune watch {submission.id}` waits for them."
    )


def _download(context: Context, site: Site, evaluation: Evaluation) -> dict[str, str]:
    """Write the single answers, a file a benchmark, each whole or not at all; returns their paths."""
    folder: Path = context.options.items
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be made: {error.strerror}") from error
    files = {}
    for score in evaluation.scores:
        if score.items is None:
            context.console.note(f"The site did not keep the answers to {score.benchmark}.")
            continue
        path = folder / f"evaluation-{evaluation.id}-{score.benchmark}.jsonl"
        with replacing(path) as draft:
            _fetch(site, score.items, draft)
        files[score.benchmark] = str(path)
    return files


def _fetch(site: Site, address: str, target: Path) -> None:
    """Into `target`, from the beginning again where the connection breaks."""
    patience = site.patience()
    while True:
        try:
            with target.open("wb") as file:
                return site.download(site.path_of(address), file.write)
        except TemporaryError as error:
            patience.after(error)


def _withdraw(context: Context) -> Status:
    options, console = context.options, context.console
    with context.site() as site:
        submission = Submission.read(site.document("GET", f"submissions/{options.id}/"))
        if submission.status == "withdrawn":
            document = site.document("GET", f"submissions/{options.id}/")
            console.result(document, f"Submission {submission.id} was withdrawn before.")
            return Status.DONE
        if not options.yes and not _is_wanted(context, submission):
            raise ClientError("Nothing was changed.")
        address = f"submissions/{submission.id}/"
        if submission.status == DRAFT:
            site.send("DELETE", address)
            console.result({"id": submission.id, "deleted": True}, f"Draft {submission.id} is deleted.")
            return Status.DONE
        # The key never changes: withdrawing twice is withdrawing once.
        headers = {"Idempotency-Key": f"withdraw-{submission.id}"}
        document = site.document("POST", f"{address}withdraw/", headers=headers)
    console.result(document, f"Submission {submission.id} is withdrawn.")
    return Status.DONE


def _is_wanted(context: Context, submission: Submission) -> bool:
    if not context.console.is_interactive:
        raise UsageError("Withdrawing is for good. Add --yes.")
    what = f"{submission.shown_status}, {submission.challenge}, {submission.method}"
    return context.console.confirms(f"Withdraw submission {submission.id} ({what}) for good?", default=False)
