"""Errors as problem details (RFC 9457), with the findings that explain them."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.template import loader
from django.views import defaults
from rest_framework import exceptions, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import set_rollback

from evaluation.findings import Finding, Severity
from evaluation.findings.catalogue import CATALOGUE
from portal.api.errors import BodyTooLarge, MalformedRequest, NotPossibleNow
from portal.api.findings import as_details
from portal.baselines.kept_rounds import KeptRoundsRefused
from portal.baselines.services import InvalidRun, RunRefused
from portal.control.orders import OrderRefused
from portal.intake.services import InvalidSubmission, TransitionRefused
from portal.outages.causes import is_outage
from portal.runs.leakage import LeakageRefused
from portal.runs.transfer import TransferRefused
from portal.uploads.errors import UploadError

_NOT_NOW = (TransitionRefused, RunRefused, OrderRefused, TransferRefused, LeakageRefused, KeptRoundsRefused)
CONTENT_TYPE = "application/problem+json"
RETRY_SECONDS = 15


def problem_details(error: Exception, context: dict[str, Any]) -> Response | None:
    """Turn an exception of the API into a problem document; unknown ones stay server errors."""
    request: Request = context["view"].request
    if over := _count(request):
        error = over
    if findings := _findings_against(error):
        set_rollback()
        is_run = isinstance(error, InvalidRun)
        return _response(
            status.HTTP_422_UNPROCESSABLE_ENTITY,
            code="invalid_run" if is_run else "invalid_submission",
            detail="The run cannot work; nothing was started."
            if is_run
            else "The submission has problems; nothing was changed.",
            findings=[as_details(finding, request) for finding in findings],
        )
    known = _as_api_exception(error)
    if known is None:
        return None
    set_rollback()
    findings = _findings(known.get_full_details()) if isinstance(known, exceptions.ValidationError) else []
    detail = "The request has problems." if findings else str(known.detail)
    code = "invalid_request" if findings else str(known.get_codes())
    response = _response(
        known.status_code,
        code=code,
        detail=detail,
        findings=[as_details(finding, request) for finding in findings],
    )
    if header := getattr(known, "auth_header", None):
        response["WWW-Authenticate"] = header
    if (wait := getattr(known, "wait", None)) is not None:
        response["Retry-After"] = str(int(wait) + 1)
    return response


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """What Django itself refuses, before a view could."""
    if not request.path.startswith("/api/"):
        return defaults.bad_request(request, exception)
    refusal = MalformedRequest()
    return _plain(refusal.status_code, refusal.default_code, str(refusal.detail))


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Called while the exception is handled; where a service that the site needs is away, 503."""
    if is_outage(sys.exc_info()[1]):
        return _unavailable(request)
    if not request.path.startswith("/api/"):
        return defaults.server_error(request)
    return _plain(500, "server_error", "Something broke on our side. It is logged; try again later.")


def _unavailable(request: HttpRequest) -> HttpResponseBase:
    if request.path.startswith("/api/"):
        text = "The site's database, queue or storage does not answer right now. Try again in a moment."
        response: HttpResponseBase = _plain(503, "unavailable", text)
    else:
        response = HttpResponse(loader.render_to_string("503.html"), status=503)
    response["Retry-After"] = str(RETRY_SECONDS)
    response["Cache-Control"] = "no-store"
    return response


def _count(request: Request) -> exceptions.Throttled | None:
    """Count a request that was refused before the throttles ran: nobody can try tokens without end."""
    if hasattr(request._request, "rate_limit"):
        return None
    with suppress(exceptions.APIException):
        request.user  # noqa: B018 -- where authentication fails, this makes the user an anonymous one
    view = request.parser_context["view"]
    try:
        view.check_throttles(request)
    except exceptions.Throttled as over:
        return over
    return None


def _findings_against(error: Exception) -> list[Finding]:
    if isinstance(error, InvalidSubmission | InvalidRun):
        return error.findings
    if isinstance(error, UploadError):
        return [replace(error.finding, location="adapter_upload")]
    return []


def _as_api_exception(error: Exception) -> exceptions.APIException | None:
    if isinstance(error, exceptions.APIException):
        return error
    if isinstance(error, Http404):
        return exceptions.NotFound("There is nothing here that you may see.")
    if isinstance(error, PermissionDenied):
        return exceptions.PermissionDenied()
    if isinstance(error, _NOT_NOW):
        return NotPossibleNow(str(error))
    if isinstance(error, RequestDataTooBig):
        return BodyTooLarge()
    if isinstance(error, SuspiciousOperation):
        return MalformedRequest()
    return None


def _body(status_code: int, code: str, detail: str) -> dict[str, Any]:
    return {
        "type": f"urn:flowertune:problem:{code}",
        "title": HTTPStatus(status_code).phrase,
        "status": status_code,
        "detail": detail,
    }


def _plain(status_code: int, code: str, detail: str) -> JsonResponse:
    return JsonResponse(_body(status_code, code, detail), status=status_code, content_type=CONTENT_TYPE)


def _response(status_code: int, *, code: str, detail: str, findings: list[dict[str, Any]]) -> Response:
    body = _body(status_code, code, detail)
    if findings:
        body["findings"] = findings
    return Response(body, status=status_code, content_type=CONTENT_TYPE)


def _findings(details: Any, location: str = "") -> list[Finding]:
    """Flatten REST framework's nested error details into findings that name the field.

    A code of its that the catalogue lacks becomes its general one: a refusal must not fail for its name.
    """
    if isinstance(details, dict) and set(details) == {"message", "code"}:
        code = str(details["code"])
        known = code if code in CATALOGUE else exceptions.ValidationError.default_code
        return [Finding(known, Severity.ERROR, str(details["message"]), location)]
    if isinstance(details, dict):
        parts = [(f"{location}.{name}" if location else str(name), value) for name, value in details.items()]
    else:
        parts = [(location, value) for value in details]
    return [finding for place, value in parts for finding in _findings(value, place)]
