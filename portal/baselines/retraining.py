"""Retraining a submission as its method card says, without a person who fills in the form."""

from __future__ import annotations

from portal.accounts.models import User
from portal.baselines import method_cards, services
from portal.baselines.forms import RunForm, initial_of
from portal.baselines.training_rows import rows_of
from portal.runs.models import BaselineRun
from portal.submissions.models import Submission


class RetrainingRefused(Exception):
    """It cannot be retrained as its card says; the text says why."""


def retrain(original: Submission, *, requester: User) -> BaselineRun:
    """Queue a run with the card's settings and the choices made for it, as the form offers them.

    Raises RetrainingRefused.
    """
    form, assumed = _form_of(original)
    method = f"{original.method}, retrained"[: services.METHOD_LENGTH]
    try:
        return services.start(services.Request(form.plan(), requester, method, original, assumed))
    except (services.RunRefused, services.InvalidRun) as refusal:
        raise RetrainingRefused(str(refusal)) from refusal


def why_not(original: Submission) -> str:
    """Why a submission cannot be retrained as its card says; "" where it can."""
    try:
        _form_of(original)
    except RetrainingRefused as refusal:
        return str(refusal)
    return ""


def _form_of(original: Submission) -> tuple[RunForm, tuple[str, ...]]:
    """The form as its page offers it first, checked."""
    try:
        settings, assumed = method_cards.settings_of(original, rows_of(original.challenge).rows)
    except method_cards.NotRetrainable as refusal:
        raise RetrainingRefused(str(refusal)) from refusal
    offered = initial_of(settings) | {"base_model": original.base_model_id, "method": original.method}
    filled = {name: value for name, value in offered.items() if value is not None and value is not False}
    form = RunForm(filled, original=original)
    if not form.is_valid():
        problems = "; ".join(str(error) for errors in form.errors.values() for error in errors)
        raise RetrainingRefused(f"Its card's settings cannot be trained as they are: {problems}")
    return form, assumed
