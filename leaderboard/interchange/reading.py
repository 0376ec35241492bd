"""Reads the result of a published entry: the figures of its page, with the rows that they come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db.models import Prefetch
from django.urls import reverse

from evaluation.rules.challenges import CHALLENGES
from leaderboard.addresses import entry_page, under
from leaderboard.interchange.result import BenchmarkResult, Conditions, NotSayableError, Result
from leaderboard.reading.queries import counting, entry_of
from leaderboard.standing.entries import BenchmarkScore, Entry
from portal.dumps.mirroring import mirrored
from portal.runs.models import Evaluation, Score
from portal.submissions.models import Submission


def published_result(pk: int, protocol: int | None = None) -> Result:
    """Under a protocol; for None under the site's own, else the newest there is.

    Raises NotSayableError, where there is no such entry, too.
    """
    rows = Submission.objects.select_related("team", "base_model", "checkpoint")
    rows = rows.defer("base_model__tensors", "checkpoint__summary", "config_text", "adapter_config_text")
    submission = rows.filter(pk=pk, status=Submission.Status.PUBLISHED).first()
    if submission is None:
        raise NotSayableError(f"There is no published entry {pk}.")
    try:
        entry = entry_of(pk, protocol)
    except LookupError as error:
        raise NotSayableError(f"Entry {pk} has no result under protocol {protocol}.") from error
    scores = Score.objects.defer("correct_bits", "scored_bits")
    evaluation = counting([pk], protocol=entry.protocol or None).prefetch_related(Prefetch("scores", scores))
    return result_of(submission, entry, evaluation.first() if entry.protocol else None)


def result_of(submission: Submission, entry: Entry, evaluation: Evaluation | None) -> Result:
    """Of an entry and the evaluation that gave its figures; None where they are declared."""
    stored = {score.benchmark: score for score in evaluation.scores.all()} if evaluation else {}
    scores = [_score(score, stored.get(score.benchmark)) for score in entry.scores]
    site, checkpoint, mirror = settings.SITE_URL, submission.checkpoint, mirrored()
    statement = under(reverse("api-statement", args=[submission.pk]), entry.protocol)
    return Result(
        site=site,
        url=site + entry_page(submission.pk, entry.protocol),
        statement=(mirror.site if mirror else site) + statement if evaluation else "",
        entry=submission.pk,
        challenge=submission.challenge,
        challenge_title=CHALLENGES[submission.challenge].title,
        method=submission.method,
        team=submission.team.name,
        base_model=submission.base_model.hub_id,
        base_revision=submission.base_model.revision,
        adapted=entry.adapted,
        adapter_sha256=checkpoint.sha256 if checkpoint else "",
        published_at=entry.published_at,
        declared_at=submission.source_url if evaluation is None else "",
        average=entry.average,
        average_interval=entry.interval,
        scores=tuple(score for score in scores if score),
        conditions=_conditions(evaluation) if evaluation else None,
    )


def _score(score: BenchmarkScore, stored: Score | None) -> BenchmarkResult | None:
    """None of one without a scored item: there is no figure."""
    if score.value is None or score.percent is None:
        return None
    return BenchmarkResult(
        benchmark=score.benchmark,
        value=score.value,
        percent=score.percent,
        standard_error=stored.standard_error if stored else None,
        interval=score.interval,
        n=score.n,
        unscored=score.unscored,
        correct=score.correct,
        available=score.available,
        data=score.data,
        digest=stored.data_digest if stored else "",
        official=score.official,
        reasons=tuple(stored.unofficial_reasons) if stored else (),
        has_items=bool(stored and stored.items),
    )


def _conditions(evaluation: Evaluation) -> Conditions:
    known: Mapping[str, Any] = evaluation.provenance
    engine, hardware = known.get("engine") or {}, known.get("hardware") or {}
    assert evaluation.finished_at  # it succeeded
    return Conditions(
        evaluation=evaluation.pk,
        protocol=evaluation.protocol,
        precision=str(known.get("precision") or ""),
        engine=str(engine.get("name") or ""),
        engine_version=str(engine.get("version") or ""),
        packages={name: str(version) for name, version in (known.get("packages") or {}).items()},
        hardware=str(hardware.get("accelerator") or hardware.get("cpu") or ""),
        git_commit=str(known.get("git_commit") or ""),
        started_at=evaluation.started_at,
        finished_at=evaluation.finished_at,
    )
