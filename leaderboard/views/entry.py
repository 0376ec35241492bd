"""The page of an entry: what it scored, how sure that is, what it cost, and where each figure comes from.

Its team and the reviewers have it before it is published, with the place that it would take.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import F, Prefetch, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.cache import add_never_cache_headers
from django.views.decorators.http import require_safe

from evaluation.benchmarks import BENCHMARKS
from evaluation.findings import Severity
from evaluation.method.card import MethodCard
from evaluation.rules.challenges import CHALLENGES
from evaluation.rules.protocol import PROTOCOLS
from leaderboard.addresses import ProtocolLink, asked_protocol, entry_page, protocol_query, under
from leaderboard.charts import catalogue
from leaderboard.charts.catalogue import Picture
from leaderboard.charts.drawing import BusyError
from leaderboard.charts.inputs import RoundPoint
from leaderboard.entry import facts as entry_facts
from leaderboard.entry.audits import audits_of
from leaderboard.entry.citation import PAPER_BIBTEX, bibtex
from leaderboard.entry.place import Place
from leaderboard.figures import duration, size
from leaderboard.interchange.formats import Offer, offers
from leaderboard.interchange.reading import result_of
from leaderboard.reading import energy
from leaderboard.reading.fellow_runs import left_out, runs_of_method
from leaderboard.reading.leakage import leakage_unknown, report_of
from leaderboard.reading.transfer import DomainRow, matrix_of
from leaderboard.results_api import offer_address
from leaderboard.views.charts import busy, picture_response
from portal.review.cases import may_decide
from portal.review.entry_requests import objections_to
from portal.review.models import Decision
from portal.runs.models import BaselineRun, Evaluation, Reproduction
from portal.runs.ngrams import overlap_of_submission
from portal.submissions.known_of_method import card_of
from portal.submissions.models import Submission
from portal.submissions.models.submission import SubmissionQuerySet
from portal.transparency.reading import Logged, logged

_PUBLIC_DECISIONS = (Decision.Action.DISQUALIFY, Decision.Action.REINSTATE)


@require_safe
def entry(request: HttpRequest, pk: int) -> HttpResponse:
    """A published or disqualified entry. Others have a page for their team and the reviewers alone: 404 for
    whoever else asks, so that they stay private."""
    submission = visible(request.user, pk)
    place = place_of(submission, asked_protocol(request.GET))
    context = _frame(submission, place) | {"is_reviewer": may_decide(request.user)}
    if submission.kind == Submission.Kind.IMPORTED:
        scores = [(BENCHMARKS[score.benchmark], score) for score in place.entry.scores]
        elsewhere = _elsewhere(submission, place, None)
        context |= {"scores": scores, "elsewhere": elsewhere}
        return render(request, "leaderboard/declared_entry.html", context)
    evaluations: list[Evaluation] = submission.finished  # type: ignore[attr-defined]  # prefetched
    counting = next((one for one in evaluations if one.protocol == place.protocol), None)
    if counting is None:
        raise Http404("published without an evaluation")
    others = _other_places(submission, place)
    run = _run_of(submission)
    context |= {
        "evaluation": counting,
        "scores": entry_facts.score_rows(place.entry, counting, place.places()),
        "evaluations": entry_facts.evaluation_rows(evaluations),
        "protocols": _protocol_links(place, others),
        "side_by_side": entry_facts.side_by_side([place.standing, *(other.standing for other in others)]),
        "target_names": _target_names(submission),
        "provenance": [
            *_provenance(counting.provenance),
            *entry_facts.evaluation_costs(counting, evaluations),
        ],
        "settings": _settings(submission),
        "reproduction": _reproduction(submission),
        "audits": audits_of(submission),
        "run": run,
        "path": entry_page(submission.pk, place.protocol),
        "logged": _logged(submission, place.protocol),
        "statement": under(reverse("api-statement", args=[submission.pk]), place.protocol),
        "page_address": shlex.quote(settings.SITE_URL + entry_page(submission.pk, place.protocol)),
        "rounds": _rounds_picture(run) if run else None,
        "elsewhere": _elsewhere(submission, place, counting),
        "matrix": _matrix(place, counting),
        "leakage": report_of(submission) if place.entry.leakage else None,
        "leakage_unknown": leakage_unknown(submission),
        "training_energy": _training_energy(place, submission) if run else None,
        "left_out": left_out(runs_of_method(submission)),
    }
    return _not_for_others(render(request, "leaderboard/entry.html", context), submission)


@require_safe
def chart_file(request: HttpRequest, pk: int, name: str, form: str) -> HttpResponse:
    """A picture of an entry as SVG or PNG. 404 where it has nothing to draw."""
    submission = visible(request.user, pk)
    place = place_of(submission, asked_protocol(request.GET))
    run = _run_of(submission)
    try:
        if name == "profile":
            content = catalogue.entry_file(name, place.key, place.profile, submission.challenge, form)
        elif name == "rounds" and run:
            content = catalogue.entry_file(
                name, str(run.pk), lambda: _rounds(run), submission.challenge, form
            )
        else:
            content = None
    except BusyError:
        return busy()
    if content is None:
        raise Http404("no such picture")
    response = picture_response(content, form, f"entry-{pk}-{name}")
    return _not_for_others(response, submission)


def _not_for_others(response: HttpResponse, submission: Submission) -> HttpResponse:
    """What is not public is for nobody's cache and for no index."""
    if submission.status not in Submission.PUBLIC:
        del response["Cache-Control"]  # a picture's, which says public
        add_never_cache_headers(response)
        response["X-Robots-Tag"] = "noindex"
    return response


def place_of(submission: Submission, protocol: int | None = None) -> Place:
    """Where its entry stands, as `Place.of` says. Raises Http404 where there is nothing to show."""
    try:
        return Place.of(submission, protocol)
    except LookupError as error:
        raise Http404("there is no finished evaluation") from error


def public(pk: int) -> Submission:
    """A public submission with all that its page needs."""
    return _with_all_of_its_page(Submission.objects.filter(status__in=Submission.PUBLIC), pk)


def visible(user: object, pk: int) -> Submission:
    """A submission that a user may see, with all that its page needs."""
    return _with_all_of_its_page(Submission.objects.visible_to(user), pk)


def _with_all_of_its_page(submissions: SubmissionQuerySet, pk: int) -> Submission:
    """In a constant number of queries. Raises Http404."""
    finished = (
        Evaluation.objects.filter(
            Q(checkpoint=None) | Q(checkpoint=F("submission__checkpoint")),
            status=Evaluation.Status.SUCCEEDED,
            for_audit=False,
        )
        .prefetch_related("scores")
        .order_by("-protocol", "-finished_at", "-pk")
    )
    rows = (
        submissions.select_related("team", "base_model", "checkpoint", "baseline_run")
        .defer("base_model__tensors", "checkpoint__summary", "adapter_config_text")
        .prefetch_related(
            "resources",
            "declared_scores",
            "findings",
            Prefetch("evaluations", finished, to_attr="finished"),
        )
    )
    return get_object_or_404(rows, pk=pk)


def _frame(submission: Submission, place: Place) -> dict[str, Any]:
    """What the pages of evaluated and of declared entries share."""
    challenge = CHALLENGES[submission.challenge]
    return {
        "submission": submission,
        "challenge": challenge,
        "entry": place.entry,
        "track": place.standing.track,
        "standing": place.standing,
        "is_on_board": place.is_on_board,
        "would_be": place.would_be,
        "protocol": place.protocol,
        "protocol_query": protocol_query(place.protocol),
        "site_protocol": settings.LEADERBOARD_PROTOCOLS[0],
        "chart_files": f"{reverse('entry', args=[submission.pk])}charts/profile",
        "rounds_files": f"{reverse('entry', args=[submission.pk])}charts/rounds",
        "profile": catalogue.entry_picture("profile", place.key, place.profile),
        "card": card_of(submission),
        "overlap": overlap_of_submission(submission),
        "resources": entry_facts.resource_rows(
            submission.resources.all(), entry_facts.peers_of(place.standing, place.board)
        ),
        # Warnings are for the reviewer; of an imported entry they are shown as flags.
        "findings": [f for f in submission.findings.all() if f.severity == Severity.NOTE.value],
        "decisions": submission.decisions.in_effect().filter(action__in=_PUBLIC_DECISIONS),
        "objections": objections_to(submission),
        "citation": bibtex(place.entry, settings.SITE_URL + entry_page(submission.pk, place.protocol)),
        "paper": PAPER_BIBTEX,
        "section": "boards",
    }


def _other_places(submission: Submission, shown: Place) -> list[Place]:
    """The places under the other protocols that the entry was evaluated under."""
    finished: list[Evaluation] = submission.finished  # type: ignore[attr-defined]  # prefetched
    numbers = dict.fromkeys(one.protocol for one in finished if one.protocol in PROTOCOLS)
    return [place_of(submission, number) for number in numbers if number != shown.protocol]


def _protocol_links(shown: Place, others: list[Place]) -> list[ProtocolLink]:
    """The page under each protocol; none where there is one."""
    places = sorted([shown, *others], key=lambda place: place.protocol) if others else []
    return [
        ProtocolLink(place.protocol, entry_page(place.entry.id, place.protocol), place is shown)
        for place in places
    ]


def _settings(submission: Submission) -> list[entry_facts.Setting]:
    if not submission.method_card:
        return []
    card = MethodCard.from_json(submission.method_card)
    return entry_facts.settings_diff(card, CHALLENGES[submission.challenge])


def _logged(submission: Submission, protocol: int) -> Logged | None:
    """Where the statement of what is shown is in the log; None where it is not there yet, or never comes."""
    if submission.status not in Submission.PUBLIC:
        return None
    return logged([submission.pk], protocol).get(submission.pk)


@dataclass(frozen=True)
class _Link:
    """A format of other places, and where its file is; "" where it has no words for the result."""

    offer: Offer
    address: str


def _elsewhere(submission: Submission, place: Place, evaluation: Evaluation | None) -> list[_Link]:
    """The result in the formats of other places; only of what is published."""
    if submission.status != Submission.Status.PUBLISHED:
        return []
    protocol = evaluation.protocol if evaluation else 0
    return [
        _Link(offer, "" if offer.refused else offer_address(submission.pk, offer, protocol))
        for offer in offers(result_of(submission, place.entry, evaluation))
    ]


def _matrix(place: Place, counting: Evaluation) -> list[DomainRow]:
    """The entry's changes on each domain; empty where it was measured on its own alone."""
    if not place.entry.transfer:
        return []
    return matrix_of(place.entry.id, Evaluation.objects.filter(pk=counting.pk))


@dataclass(frozen=True)
class _TrainingEnergy:
    """The meter of the trainings here that an entry came of, and how far those of its runs lie apart."""

    method: str
    apart: str


def _training_energy(place: Place, submission: Submission) -> _TrainingEnergy | None:
    found = energy.trainings({submission.pk, *(run.id for run in place.entry.runs)})
    own = found.pop(submission.pk, None)
    if own is None:
        return None
    spread = energy.repeated([own.net, *(other.net for other in found.values())]) if own.net else None
    return _TrainingEnergy(own.method, entry_facts.spread_in_words(spread) if spread else "")


def _reproduction(submission: Submission) -> Reproduction | None:
    """The retraining that counts: the last judged of the public ones, confirmed ones first."""
    public = [found for found in submission.reproductions.order_by("judged_at", "pk") if found.is_public]
    confirmed = [found for found in public if found.verdict == Reproduction.Verdict.CONFIRMED]
    return next(reversed(confirmed or public), None)


def _run_of(submission: Submission) -> BaselineRun | None:
    """The run of this site that made the entry's checkpoint."""
    run: BaselineRun | None = getattr(submission, "baseline_run", None)
    return run


def _rounds_picture(run: BaselineRun) -> Picture:
    # A run that made an entry is over: its rounds never change.
    return catalogue.entry_picture("rounds", str(run.pk), lambda: _rounds(run))


def _rounds(run: BaselineRun) -> tuple[list[RoundPoint]]:
    """What the curves of a run are drawn from."""
    rounds = run.round_metrics.all()
    return (
        [
            RoundPoint(one.round, one.train_loss, one.held_out_loss, one.bytes_both_ways, one.seconds)
            for one in rounds
        ],
    )


def _provenance(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The facts of how an evaluation ran that a reader asks for first, in words."""
    engine, hardware = provenance.get("engine", {}), provenance.get("hardware", {})
    seconds = sum(usage["seconds"] for usage in provenance.get("usage", {}).values())
    facts = [
        ("Engine", entry_facts.engine_in_words(engine)),
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
