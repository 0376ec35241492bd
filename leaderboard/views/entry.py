"""The page of an entry."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from evaluation.benchmarks import BENCHMARKS
from evaluation.challenges import CHALLENGES
from leaderboard import snapshots
from leaderboard.queries import entry_of
from leaderboard.ranking import track_of
from leaderboard.templatetags.figures import duration, size
from portal.runs.models import Evaluation
from portal.submissions.cards import card_of
from portal.submissions.models import Submission


@require_safe
def entry(request: HttpRequest, pk: int) -> HttpResponse:
    """A published or disqualified entry. Others have no public page: 404, so that they stay private."""
    submission = get_object_or_404(
        Submission.objects.filter(status__in=Submission.PUBLIC).select_related(
            "team", "base_model", "checkpoint"
        ),
        pk=pk,
    )
    if submission.kind == Submission.Kind.IMPORTED:
        return _declared_entry_page(request, submission)
    evaluation = (
        submission.evaluations.filter(status=Evaluation.Status.SUCCEEDED)
        .prefetch_related("scores")
        .order_by("-protocol", "-finished_at")
        .first()
    )
    if evaluation is None:
        raise Http404("published without an evaluation")
    challenge = CHALLENGES[submission.challenge]
    row = entry_of(submission.pk)
    standing = snapshots.current(challenge.slug).by_id.get(submission.pk)
    context = {
        "submission": submission,
        "entry": row,
        "track": track_of(row),
        "standing": standing,
        "challenge": challenge,
        "evaluation": evaluation,
        "scores": [(score, BENCHMARKS[score.benchmark]) for score in row.scores],
        "target_names": _target_names(submission),
        "provenance": _provenance(evaluation.provenance),
        "card": card_of(submission),
        "decisions": submission.decisions.all(),
        "section": "boards",
    }
    return render(request, "leaderboard/entry.html", context)


def _declared_entry_page(request: HttpRequest, submission: Submission) -> HttpResponse:
    row = entry_of(submission.pk)
    context = {
        "submission": submission,
        "entry": row,
        "challenge": CHALLENGES[submission.challenge],
        "scores": [(BENCHMARKS[score.benchmark], score.percent) for score in row.scores],
        "decisions": submission.decisions.all(),
        "section": "boards",
    }
    return render(request, "leaderboard/declared_entry.html", context)


def _provenance(provenance: dict[str, Any]) -> list[tuple[str, str]]:
    """The facts of how an evaluation ran that a reader asks for first, in words."""
    engine, hardware = provenance.get("engine", {}), provenance.get("hardware", {})
    seconds = sum(usage["seconds"] for usage in provenance.get("usage", {}).values())
    facts = [
        ("Engine", f"{engine.get('name', '')} {engine.get('version', '')}".strip()),
        ("Precision", provenance.get("precision") or ""),
        ("Hardware", hardware.get("accelerator") or hardware.get("cpu") or ""),
        ("Evaluation took", duration(seconds) if seconds else ""),
        ("Peak memory", size(provenance.get("peak_rss_bytes")) if "peak_rss_bytes" in provenance else ""),
        ("Code version", (provenance.get("git_commit") or "")[:12]),
    ]
    return [(name, value) for name, value in facts if value]


def _target_names(submission: Submission) -> list[str]:
    """The kinds of module that the adapter changes, like q_proj, each once."""
    modules = submission.checkpoint.adapter_config.get("target_modules", []) if submission.checkpoint else []
    return sorted({name.rpartition(".")[2] for name in modules})
