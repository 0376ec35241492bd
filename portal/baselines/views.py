"""The baselines' pages: grid, runs and each with its rounds, for everybody; starting one, for staff."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from evaluation.federated import presets
from evaluation.federated.config import FederatedConfig
from evaluation.rules.challenges import CHALLENGES
from portal.accounts.access import sees_all, trains_here
from portal.accounts.models import User
from portal.baselines import kept_rounds, method_cards, services
from portal.baselines.benchmark_curve import as_csv, curve_of
from portal.baselines.budget_form import BudgetForm
from portal.baselines.forms import RunFilter, RunForm, initial_of
from portal.baselines.grid import grids, visible_runs
from portal.baselines.run_page import shown
from portal.baselines.training_rows import rows_of
from portal.runs import reproductions
from portal.runs.models import BaselineRun, Reproduction
from portal.submissions.models import BaseModel, Submission

RUNS_A_PAGE = 50
DEFAULT_PRESET = "cpu-one"

Card = tuple[dict[str, Any], tuple[str, ...]]
P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]


def for_staff(view: View[P]) -> View[P]:
    """Sign in first; then only staff get on."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if not _user(request).is_staff:
            raise PermissionDenied
        if not _user(request).acts_as_staff:
            return redirect_to_login(request.get_full_path(), reverse("admin:login"))
        if not trains_here(request.user):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return login_required(guarded)


@require_GET
def grid(request: HttpRequest) -> HttpResponse:
    context = {"grids": grids(request.user), "section": "baselines"}
    return render(request, "portal/baselines/grid.html", context)


@require_GET
@never_cache
def runs(request: HttpRequest) -> HttpResponse:
    chosen = RunFilter(request.GET)
    found = visible_runs(request.user).filter(**chosen.conditions())
    page = Paginator(found, RUNS_A_PAGE).get_page(request.GET.get("page"))
    context = {"page_obj": page, "form": chosen, "filtered": bool(chosen.conditions())}
    return render(request, "portal/baselines/runs.html", context)


@for_staff
@require_http_methods(["GET", "POST"])
@never_cache
def new(request: HttpRequest) -> HttpResponse:
    """The form, filled from a preset, an earlier run (`from`) or a submission to retrain (`reproduce`)."""
    original = _original(request)
    try:
        card = _card_of(original) if original else None
    except method_cards.NotRetrainable as refusal:
        messages.error(request, str(refusal))
        return redirect("submissions:detail", request.GET["reproduce"])
    if request.method == "GET":
        form = RunForm(initial=_first_values(request, original, card))
        return _form_page(request, form, original, card[1] if card else ())
    form = RunForm(request.POST, original=original)
    if not form.is_valid() or request.POST.get("action") == "check":
        return _form_page(request, form, original, status=422 if form.errors else 200)
    assumed = (*card[1], *method_cards.changes(form.config(), card[0])) if card else ()
    wanted = services.Request(form.plan(), _user(request), form.cleaned_data["method"], original, assumed)
    try:
        run = services.start(wanted)
    except services.RunRefused as refusal:
        form.add_error(None, str(refusal))
        return _form_page(request, form, original, status=422)
    messages.success(request, "Started. It trains as soon as a worker is free.")
    return redirect(run)


@for_staff
@require_POST
def plan(request: HttpRequest) -> HttpResponse:
    """What a run with the form's present values would take, and what is wrong with them."""
    form = RunForm(request.POST, original=_original(request))
    form.is_valid()
    return render(request, "portal/baselines/_plan.html", _plan_context(form))


@for_staff
@require_GET
def options(request: HttpRequest) -> HttpResponse:
    """The fields of the chosen strategy's options."""
    form = RunForm(initial={name: request.GET.get(name, "") for name in ("strategy", "preset")})
    return render(request, "portal/baselines/_options.html", {"form": form})


@require_GET
@never_cache
def run(request: HttpRequest, pk: int) -> HttpResponse:
    found = _visible(request, pk)
    return render(request, "portal/baselines/run.html", _run_context(request, found) | _curve(request, found))


@require_GET
@never_cache
def curve(request: HttpRequest, pk: int) -> HttpResponse:
    """The scores on the way as CSV, those that the reader may see."""
    found = curve_of(_visible(request, pk), sees_all=sees_all(request.user))
    if found is None:
        raise Http404
    headers = {"Content-Disposition": f'attachment; filename="run-{pk}-curve.csv"'}
    return HttpResponse(as_csv(found), content_type="text/csv; charset=utf-8", headers=headers)


@for_staff
@require_POST
def kept(request: HttpRequest, pk: int) -> HttpResponse:
    """Have kept adapters evaluated that are not, or cancel what of it waits or runs."""
    found = _visible(request, pk)
    try:
        if request.POST.get("action") == "cancel":
            count = kept_rounds.cancel(found, by=_user(request).get_username())
            words = "is cancelled" if count == 1 else "are cancelled"
        else:
            count = kept_rounds.ask(found)
            words = "is in the queue" if count == 1 else "are in the queue"
    except kept_rounds.KeptRoundsRefused as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, f"{count} evaluation{'' if count == 1 else 's'} {words}.")
    return redirect(found)


@require_GET
@never_cache
def live(request: HttpRequest, pk: int) -> HttpResponse:
    """The part of a run's page that changes; it asks for itself again until the run is over."""
    return render(request, "portal/baselines/_live.html", _run_context(request, _visible(request, pk)))


@for_staff
@require_http_methods(["GET", "POST"])
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    run = _visible(request, pk)
    if request.method == "GET":
        return render(request, "portal/baselines/cancel.html", {"run": run})
    try:
        services.cancel(run, by=_user(request))
    except services.RunRefused as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, "The run is cancelled. Its rounds stay on record.")
    return redirect(run)


@for_staff
@require_POST
def verdict(request: HttpRequest, pk: int) -> HttpResponse:
    """Confirm what a retraining showed, or set it aside."""
    reproduction = get_object_or_404(Reproduction, run=pk)
    wanted = request.POST.get("verdict", "")
    if wanted not in reproductions.JUDGED:
        raise PermissionDenied
    try:
        reproductions.judge(
            reproduction,
            judge=_user(request),
            verdict=Reproduction.Verdict(wanted),
            reason=request.POST.get("reason", ""),
        )
    except reproductions.VerdictRefused as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, "Your verdict is on record.")
    return redirect("baselines:run", pk)


def _visible(request: HttpRequest, pk: int) -> BaselineRun:
    found = visible_runs(request.user).select_related("original__team", "submission__team")
    return get_object_or_404(found, pk=pk)


def _run_context(request: HttpRequest, run: BaselineRun) -> dict[str, Any]:
    is_staff = trains_here(request.user)
    return {
        "run": run,
        "challenge": CHALLENGES[run.challenge],
        "shown": shown(run, for_staff=is_staff),
        "is_staff": is_staff,
    }


def _curve(request: HttpRequest, run: BaselineRun) -> dict[str, Any]:
    """The scores on the way, of a run that keeps adapters, with what was asked of them."""
    found = curve_of(run, sees_all=sees_all(request.user))
    if found is None:
        return {}
    asked = any(request.GET.get(name) for name in BudgetForm.base_fields)
    form = BudgetForm(request.GET) if asked else BudgetForm()
    return {"curve": found, "budget_form": form, "answers": form.answers(found)}


def _original(request: HttpRequest) -> Submission | None:
    """The submission to retrain; 404 for a number that is none."""
    number = request.GET.get("reproduce")
    if number is None:
        return None
    sent = Submission.objects.exclude(status=Submission.Status.RECEIVED)
    return get_object_or_404(
        sent.select_related("base_model", "checkpoint", "team"), pk=number if number.isdecimal() else 0
    )


def _card_of(original: Submission) -> Card:
    """The settings that a submission's method card gives, and what was assumed. Raises NotRetrainable."""
    return method_cards.settings_of(original, rows_of(original.challenge).rows)


def _first_values(request: HttpRequest, original: Submission | None, card: Card | None) -> dict[str, Any]:
    """What the form says at first."""
    if original and card:
        method = f"{original.method}, retrained"[: services.METHOD_LENGTH]
        return initial_of(card[0]) | {"base_model": original.base_model_id, "method": method}
    number = request.GET.get("from", "")
    if number.isdecimal():
        earlier = _visible(request, int(number))
        config = FederatedConfig.from_dict(earlier.config)
        values = initial_of({f.name: getattr(config, f.name) for f in fields(config)})
        return values | {"base_model": earlier.base_model_id, "method": earlier.method}
    preset = presets.PRESETS.get(request.GET.get("preset", ""), presets.PRESETS[DEFAULT_PRESET])
    slug = request.GET.get("challenge") or str(preset.settings["challenge"])
    challenge = CHALLENGES.get(slug, CHALLENGES["finance"])
    values = initial_of(preset.of(challenge)) | {"preset": preset.name}
    return values | {"base_model": _only_base_model()}


def _only_base_model() -> int | None:
    """Where there is no choice, nobody has to make it."""
    there = list(BaseModel.objects.filter(active=True).values_list("pk", flat=True)[:2])
    return there[0] if len(there) == 1 else None


def _form_page(
    request: HttpRequest,
    form: RunForm,
    original: Submission | None,
    assumed: tuple[str, ...] = (),
    *,
    status: int = 200,
) -> HttpResponse:
    context = {
        "form": form,
        "presets": [preset for preset in presets.PRESETS.values() if not preset.grid],
        "preset": form.initial.get("preset"),
        "original": original,
        "assumed": assumed,
        "section": "baselines",
        **_plan_context(form),
    }
    return render(request, "portal/baselines/new.html", context, status=status)


def _plan_context(form: RunForm) -> dict[str, Any]:
    """What the plan shows; of a form with errors only these."""
    context: dict[str, Any] = {"form": form, "checked": form.is_bound}
    if not form.is_bound or form.errors:
        return context
    wanted = form.plan()
    challenge, config = CHALLENGES[wanted.config.challenge], wanted.config
    rows = rows_of(challenge.slug, config.partition.column)
    return context | {
        "config": config,
        "communication": services.communication(wanted),
        "budget": challenge.communication_budget_bytes,
        "rows": rows,
        "rows_each": (rows.rows - config.held_out) // config.clients if rows.rows else None,
        "steps": config.rounds * config.clients_per_round * config.local_steps,
        "kept": len(config.kept_rounds),
        "kept_bytes": services.kept_bytes(wanted),
    }


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user
