"""Errors as problem details (RFC 9457), with the findings that explain them."""

from __future__ import annotations

from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import set_rollback

from evaluation.findings import Finding, Severity
from portal.submissions.services import InvalidSubmission

CONTENT_TYPE = "application/problem+json"


class UploadTooLarge(exceptions.APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "file_too_large"


def problem_details(error: Exception, context: dict[str, Any]) -> Response | None:
    """Turn an exception of the API into a problem document; unknown ones stay server errors."""
    if isinstance(error, Http404):
        error = exceptions.NotFound("There is nothing here that you may see.")
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    if isinstance(error, InvalidSubmission):
        set_rollback()
        return _response(
            status.HTTP_422_UNPROCESSABLE_ENTITY,
            code="invalid_submission",
            detail="The submission has problems; nothing was stored.",
            findings=error.findings,
        )
    if not isinstance(error, exceptions.APIException):
        return None
    set_rollback()
    findings = _findings(error.get_full_details()) if isinstance(error, exceptions.ValidationError) else []
    detail = "The request has problems." if findings else str(error.detail)
    code = "invalid_request" if findings else str(error.get_codes())
    response = _response(error.status_code, code=code, detail=detail, findings=findings)
    if header := getattr(error, "auth_header", None):
        response["WWW-Authenticate"] = header
    if (wait := getattr(error, "wait", None)) is not None:
        response["Retry-After"] = str(int(wait) + 1)
    return response


def _response(status_code: int, *, code: str, detail: str, findings: list[Finding]) -> Response:
    body: dict[str, Any] = {
        "type": f"urn:flowertune:problem:{code}",
        "title": HTTPStatus(status_code).phrase,
        "status": status_code,
        "detail": detail,
    }
    if findings:
        body["findings"] = [asdict(finding) for finding in findings]
    return Response(body, status=status_code, content_type=CONTENT_TYPE)


def _findings(details: Any, location: str = "") -> list[Finding]:
    """Flatten REST framework's nested error details into findings that name the field."""
    if isinstance(details, dict) and set(details) == {"message", "code"}:
        return [Finding(str(details["code"]), Severity.ERROR, str(details["message"]), location)]
    if isinstance(details, dict):
        parts = [(f"{location}.{name}" if location else str(name), value) for name, value in details.items()]
    else:
        parts = [(location, value) for value in details]
    return [finding for place, value in parts for finding in _findings(value, place)]
