"""Submissions, progress and scores as a person reads them on a terminal. Scores are in percent."""

from __future__ import annotations

from collections.abc import Sequence

from evaluation.findings import RecordedFinding
from evaluation.inspection.report import LOOK_UP, findings_as_text
from evaluation.statistics import Interval, mean_interval, wilson_interval
from flowertune.answers import TRIED, Evaluation, LogLine, Progress, Submission
from flowertune.console import table


def findings_text(findings: Sequence[RecordedFinding]) -> str:
    """Grouped by severity, with the way to look a code up; empty where there are none."""
    return "\n\n".join([*findings_as_text(findings), LOOK_UP]) if findings else ""


def submission_text(submission: Submission) -> str:
    """Everything about one submission."""
    lines = [
        f"Submission {submission.id}: {submission.shown_status}",
        f"  {submission.challenge}, {submission.method}, {submission.base_model}, team {submission.team}",
        f"  {submission.url}",
    ]
    latest = submission.latest
    if latest and latest.progress:
        lines.append(f"  {progress_text(latest.progress)}")
    elif latest and latest.error:
        lines.append(f"  evaluation {latest.status}: {latest.error}")
    elif submission.hub_wait:
        lines.append(f"  {submission.hub_wait}")
    if submission.status == TRIED:
        lines.append(
            f"  `flowertune evaluate {submission.id}` goes on in full; without your word it is withdrawn on "
            f"{submission.decide_by[:10]}"
        )
    parts = ["\n".join(lines)]
    if scored := latest if latest and latest.scores else submission.result:
        parts.append(scores_text(scored))
    if submission.findings:
        parts.append(findings_text(submission.findings))
    return "\n\n".join(parts)


def submissions_text(submissions: Sequence[Submission]) -> str:
    if not submissions:
        return "No submissions yet. `flowertune submit FOLDER` makes one."
    rows = [
        (str(s.id), s.shown_status, s.challenge, s.method, s.base_model, s.created_at[:10])
        for s in submissions
    ]
    return table(rows, head=("id", "status", "challenge", "method", "base model", "made on"), right=(0,))


def status_line(submission: Submission) -> str:
    """Where a submission stands, in one line."""
    latest = submission.latest
    progress = latest.progress if latest else None
    words = progress_text(progress) if progress else submission.hub_wait
    detail = f": {words}" if words else ""
    return f"{submission.shown_status}{detail}"


def progress_text(progress: Progress) -> str:
    if progress.queue_position is not None:
        place = f"{progress.phase}, place {progress.queue_position} in the queue"
        return f"{place}, {progress.expectation}" if progress.expectation else place
    parts = [f"{progress.benchmarks_done} of {progress.benchmarks_total} benchmarks done"]
    if progress.benchmark:
        parts.append(f"{progress.benchmark} {progress.done:,} of {progress.total:,}")
    else:
        parts.append(progress.phase)
    if progress.seconds_left is not None:
        minutes, seconds = divmod(round(progress.seconds_left), 60)
        parts.append(f"{minutes}:{seconds:02} left")
    return ", ".join(parts)


def _limits(interval: Interval) -> str:
    """As the site writes them, in per cent."""
    return f"{100 * interval[0]:.1f}–{100 * interval[1]:.1f}"


def scores_text(evaluation: Evaluation) -> str:
    """Scores with 95% intervals, and their mean once all are there."""
    rows = []
    for score in evaluation.scores:
        scored = score.n - score.unscored
        interval = _limits(wilson_interval(score.correct, scored)) if scored else ""
        remark = "smoke run, no score" if evaluation.is_smoke_run else "not official"
        remark = "" if score.official else remark
        unscored = str(score.unscored) if score.unscored else ""
        rows.append((score.benchmark, f"{100 * score.value:.2f}", interval, f"{score.n:,}", unscored, remark))
    if evaluation.status == "succeeded" and len(rows) > 1:
        mean = sum(score.value for score in evaluation.scores) / len(rows)
        counts = [(score.correct, score.n - score.unscored) for score in evaluation.scores]
        interval = _limits(mean_interval(counts)) if all(scored for _, scored in counts) else ""
        rows.append(("average", f"{100 * mean:.2f}", interval, "", "", ""))
    head = ("benchmark", "%", "95%", "items", "unscored", "")
    return table(rows, head=head, right=(1, 2, 3, 4))


def log_text(line: LogLine) -> str:
    """A line of an evaluation's log: the time of day in UTC, and what happened."""
    level = "" if line.level == "info" else f"{line.level}: "
    return f"{line.at[11:19]}  {level}{line.text}"
