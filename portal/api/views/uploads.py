"""The tus 1.0.0 server at /api/v1/uploads/, and what it tells in JSON."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils.http import http_date
from drf_spectacular.utils import OpenApiParameter, OpenApiTypes, extend_schema
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import AllowAny, BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from portal.accounts.models import User
from portal.api.authentication import TokenAuthentication
from portal.api.findings import as_details
from portal.api.permissions import SUBMIT, HasScope
from portal.api.schema import LOCATION, header, problem
from portal.api.serializers.uploads import UploadDetailSerializer, UploadListSerializer
from portal.uploads import headers, services
from portal.uploads.errors import UploadError
from portal.uploads.models import Upload
from portal.uploads.receiving import CHECKSUM_ALGORITHMS, receive
from portal.uploads.slots import slot

PROBLEM_TYPE = "application/problem+json"
CHECKSUM_MISMATCH = 460
# No request holds a thread for longer, at whatever speed: the client goes on with the next one.
REQUEST_SECONDS = 3600.0

STATUS = {
    "upload.unknown": 404,
    "upload.gone": 410,
    "upload.offset": 409,
    "upload.too_large": 413,
    "upload.busy": 423,
    "upload.no_slot": 429,
    "upload.checksum": CHECKSUM_MISMATCH,
    "upload.cut_off": 400,
    "upload.too_many_open": 429,
    "upload.open_bytes": 429,
    "upload.daily_bytes": 429,
    "upload.storage_full": 507,
    "upload.storage_away": 503,
    "upload.header": 400,
    "upload.not_supported": 400,
    "upload.content_type": 415,
    "upload.length_required": 411,
    "upload.version": 412,
}


class HeaderOnlyCsrf(SessionAuthentication):
    """Sessions with the CSRF token in X-CSRFToken: looking for it in the body would swallow the body."""

    def enforce_csrf(self, request: Request) -> None:
        super().enforce_csrf(request._request)  # type: ignore[arg-type]


class TusView(APIView):
    """What every request of the protocol has in common."""

    authentication_classes = [TokenAuthentication, HeaderOnlyCsrf]
    required_scope = SUBMIT  # also to ask how far an upload has come

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        override = request.headers.get("X-HTTP-Method-Override", "").upper()
        if request.method == "POST" and override in ("PATCH", "DELETE", "HEAD"):
            request.method = override
        return super().dispatch(request, *args, **kwargs)

    def get_permissions(self) -> list[BasePermission]:
        return [AllowAny()] if self.request.method == "OPTIONS" else [HasScope(), IsAuthenticated()]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        # The type first: Django would parse a form's body in search of a CSRF token.
        if request.method in ("POST", "PATCH"):
            self._check_type(request)
        super().initial(request, *args, **kwargs)
        version = request.headers.get("Tus-Resumable")
        if request.method not in ("GET", "OPTIONS") and version != headers.VERSION:
            raise UploadError(
                "upload.version",
                f"Send the header Tus-Resumable: {headers.VERSION}, which is spoken here.",
            )

    def handle_exception(self, exc: Exception) -> Response:
        return refusal(exc, self.request) if isinstance(exc, UploadError) else super().handle_exception(exc)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        final = super().finalize_response(request, response, *args, **kwargs)
        final["Tus-Resumable"] = headers.VERSION
        final["Cache-Control"] = "no-store"
        if final.status_code == HTTPStatus.PRECONDITION_FAILED:
            final["Tus-Version"] = headers.VERSION
        return final

    @extend_schema(
        request=None,
        responses={204: None},
        auth=[],
        description="What this server offers: versions, extensions, largest file, checksum algorithms.",
    )
    def options(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        return Response(
            status=204,
            headers={
                "Tus-Version": headers.VERSION,
                "Tus-Extension": ",".join(headers.EXTENSIONS),
                "Tus-Max-Size": str(settings.SUBMISSION_MAX_BYTES),
                "Tus-Checksum-Algorithm": ",".join(CHECKSUM_ALGORITHMS),
            },
        )

    @staticmethod
    def _check_type(request: Request) -> None:
        kind = request._request.content_type
        has_body = request.headers.get("Content-Length", "0") not in ("", "0")
        if kind != headers.CONTENT_TYPE and (request.method == "PATCH" or has_body):
            raise UploadError("upload.content_type", f"Send the bytes as {headers.CONTENT_TYPE}.")


def _header(
    name: str, description: str, *, required: bool = False, kind: Any = OpenApiTypes.STR
) -> OpenApiParameter:
    return OpenApiParameter(name, kind, OpenApiParameter.HEADER, required=required, description=description)


TUS = OpenApiParameter(
    "Tus-Resumable", OpenApiTypes.STR, OpenApiParameter.HEADER, required=True, enum=[headers.VERSION]
)
OFFSET = _header("Upload-Offset", "Where the bytes begin", required=True, kind=OpenApiTypes.INT64)
CHECKSUM = _header("Upload-Checksum", "sha1 or sha256, a space, and the body's digest in Base64")
STATE = [
    header("Upload-Offset", "Bytes that have arrived", kind=OpenApiTypes.INT64, on=[200, 201, 204]),
    header("Upload-Expires", "When it is deleted if nothing more comes", on=[200, 201, 204]),
]
BYTES = {headers.CONTENT_TYPE: OpenApiTypes.BINARY}
REFUSED = {
    400: problem("A header is missing or malformed, or the body ended early"),
    401: problem("No token or session, or a wrong or revoked one"),
    403: problem("The CSRF token is missing or wrong, or the token may not submit"),
    412: problem("Another version of the protocol"),
    429: problem("A limit is reached; with Retry-After it frees itself, as where all slots are taken"),
}
NOT_THERE = {404: problem("No upload of yours has this id"), 410: problem("It has expired or was taken")}
SENDING = {
    411: problem("No Content-Length"),
    413: problem("Over the limit of a file, or more bytes than announced"),
    415: problem(f"Not {headers.CONTENT_TYPE}"),
    460: problem("The checksum is not that of the bytes; they were dropped"),
    503: problem("The storage is away: try again after Retry-After seconds"),
    507: problem("The storage is full"),
}


@extend_schema(tags=["uploads"])
class UploadList(TusView):
    """Begin an upload, or see those that wait."""

    @extend_schema(operation_id="uploads_list", responses={200: UploadListSerializer, 401: REFUSED[401]})
    def get(self, request: Request) -> Response:
        waiting = Upload.objects.open().filter(user=_user(request))
        body = UploadListSerializer({"results": waiting}, context={"request": request}).data
        return Response(body)

    @extend_schema(
        parameters=[
            TUS,
            LOCATION,
            *STATE,
            _header("Upload-Length", "Bytes of the file", required=True, kind=OpenApiTypes.INT64),
            _header("Upload-Metadata", "`filename`, a space, and its name in Base64"),
            CHECKSUM,
        ],
        request=BYTES,
        responses={201: None, **REFUSED, **SENDING},
    )
    def post(self, request: Request) -> Response:
        """Begin an upload; with a body, its first bytes come at once. Its address is in Location."""
        user = _user(request)
        length, name = headers.upload_length(request.headers), headers.file_name(request.headers)
        has_body = request.content_type == headers.CONTENT_TYPE
        size = headers.body_length(request.headers) if has_body else 0
        digest = headers.checksum(request.headers)
        if size > length:
            raise UploadError("upload.too_large", f"The body has {size} bytes; {length} were announced.")
        upload = services.create(user=user, length=length, name=name)
        if size:
            try:
                with slot(user.pk), _cut_off_in_time(request):
                    upload = receive(upload, request, size, offset=0, checksum=digest)
            except UploadError:
                # The refusal does not have the address, so nobody could go on with it.
                services.discard(upload)
                raise
        address = request.build_absolute_uri(reverse("api-upload", args=[upload.pk]))
        return Response(status=201, headers={"Location": address, **_state(upload)})


@extend_schema(tags=["uploads"])
class UploadDetail(TusView):
    """One upload: ask where it stands, send bytes, cancel it."""

    @extend_schema(responses={200: UploadDetailSerializer, 401: REFUSED[401], **NOT_THERE})
    def get(self, request: Request, pk: UUID) -> Response:
        upload = services.find(_user(request), pk)
        return Response(UploadDetailSerializer(upload, context={"request": request}).data)

    @extend_schema(parameters=[TUS, *STATE], responses={200: None, **REFUSED, **NOT_THERE})
    def head(self, request: Request, pk: UUID) -> Response:
        upload = services.find(_user(request), pk)
        return Response(status=200, headers={**_state(upload), "Upload-Length": str(upload.length)})

    @extend_schema(
        parameters=[TUS, OFFSET, CHECKSUM, *STATE],
        request=BYTES,
        responses={
            204: None,
            **REFUSED,
            **NOT_THERE,
            **SENDING,
            409: problem("The upload stands at another byte"),
            423: problem("Another request is sending to it"),
        },
    )
    def patch(self, request: Request, pk: UUID) -> Response:
        """Append bytes. Those that came before a broken connection are kept."""
        user = _user(request)
        offset = headers.number(request.headers, "Upload-Offset")
        size = headers.body_length(request.headers)
        digest = headers.checksum(request.headers)
        upload = services.find(user, pk)
        services.check_daily(user, size)
        try:
            with slot(user.pk), _cut_off_in_time(request):
                upload = receive(upload, request, size, offset=offset, checksum=digest)
        except UploadError as error:
            if error.code == "upload.gone":
                services.discard(upload)
            raise
        return Response(status=204, headers=_state(upload))

    @extend_schema(parameters=[TUS], responses={204: None, **REFUSED, **NOT_THERE})
    def delete(self, request: Request, pk: UUID) -> Response:
        """Cancel it and delete its bytes."""
        services.discard(services.find(_user(request), pk))
        return Response(status=204)


def refusal(error: UploadError, request: Request) -> Response:
    """The problem document of an upload's error; the status is the protocol's where it names one."""
    status = STATUS[error.code]
    title = "Checksum Mismatch" if status == CHECKSUM_MISMATCH else HTTPStatus(status).phrase
    body = {
        "type": f"urn:flowertune:problem:{error.code}",
        "title": title,
        "status": status,
        "detail": error.finding.message,
        "findings": [as_details(error.finding, request)],
    }
    response = Response(body, status=status, content_type=PROBLEM_TYPE)
    if status == CHECKSUM_MISMATCH:
        response.reason_phrase = title
    if error.retry_after is not None:
        response["Retry-After"] = str(error.retry_after)
    return response


def _state(upload: Upload) -> dict[str, str]:
    return {
        "Upload-Offset": str(upload.offset),
        "Upload-Expires": http_date(upload.expires_at.timestamp()),
    }


@contextmanager
def _cut_off_in_time(request: Request) -> Iterator[None]:
    """End reading the body after an hour; needs gunicorn's socket. Its worker ends what is too slow."""
    connection: Any = request.META.get("gunicorn.socket")
    if connection is None:
        yield
        return
    timer = threading.Timer(REQUEST_SECONDS, _stop_reading, [connection])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _stop_reading(connection: Any) -> None:
    with suppress(OSError):  # the request has just ended by itself
        connection.shutdown(socket.SHUT_RD)


def _user(request: Request) -> User:
    assert isinstance(request.user, User)
    return request.user
