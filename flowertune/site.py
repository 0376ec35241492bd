"""Requests to a site's REST API: retried where that helps, and refusals turned into errors."""

from __future__ import annotations

import math
import random
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import httpx

from evaluation.findings import RecordedFinding, Severity
from flowertune.errors import ClientError, NotThere, TemporaryError, UsageError

ATTEMPTS = 6
LONGEST_WAIT_SECONDS = 120.0
_TIMEOUT = httpx.Timeout(60.0, connect=15.0)
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_MOST_PAGES = 50
MOST_BYTES = 32 << 20
"""Of one answer: the largest that a site gives, a base model's weights by name and shape, is a few MB."""
_LOG_IN = "Run `flowertune login`."


class Patience:
    """Waits between attempts that make no headway: longer each time, or as long as the site asks for."""

    def __init__(self, pause: Callable[[float], None]) -> None:
        self._pause, self._failures = pause, 0

    def after(self, error: TemporaryError) -> None:
        """Wait, or raise `error` where another attempt is of no use."""
        self._failures += 1
        if self._failures >= ATTEMPTS or (error.wait or 0) > LONGEST_WAIT_SECONDS:
            raise error
        backoff = 2.0 ** (self._failures - 1) * random.uniform(0.75, 1.25)  # noqa: S311 -- spreads clients
        self._pause(max(backoff, error.wait or 0))

    def reset(self) -> None:
        self._failures = 0


class Site:
    """One site, at `url` (as `normal_url` gives it), with or without a token.

    Paths are below /api/v1/, or whole paths of this site. The token goes to no other host: redirects are
    not followed, and of addresses in answers only the path counts.
    """

    def __init__(
        self, url: str, token: str | None = None, *, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self.url, self.pause = url, pause
        headers = {"Accept": "application/json", "User-Agent": "flowertune"}
        if token is not None:
            headers["Authorization"] = f"Bearer {checked_token(token)}"
        self._has_token = token is not None
        self._client = httpx.Client(headers=headers, timeout=_TIMEOUT, follow_redirects=False)

    def __enter__(self) -> Site:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def patience(self) -> Patience:
        return Patience(self.pause)

    def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """A request that may be sent again without harm, until it is answered. Raises ClientError."""
        patience = self.patience()
        while True:
            try:
                return self.send_once(method, path, **request)
            except TemporaryError as error:
                patience.after(error)

    def send_once(self, method: str, path: str, **request: Any) -> httpx.Response:
        """One attempt. Answers below 400 are returned (304 too); others are raised as ClientError."""
        try:
            with self._client.stream(method, self._address(path), **request) as streamed:
                response = self._whole(streamed)
        except httpx.RequestError as error:
            raise self._unreachable(error) from error
        if response.is_redirect and response.status_code != HTTPStatus.NOT_MODIFIED:
            target = response.headers.get("Location", "another address")
            raise UsageError(
                f"{self.url} redirects to {target}. Log in with the address that the site has in a browser."
            )
        if response.status_code >= HTTPStatus.BAD_REQUEST:
            raise self._refusal(response)
        return response

    def document(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        """The JSON object of the answer. Raises ClientError."""
        return self.parse(self.send(method, path, **request))

    def rows(self, path: str, **parameters: str) -> Iterator[dict[str, Any]]:
        """All rows of a list, page by page."""
        request: dict[str, Any] = {"params": parameters}
        for _ in range(_MOST_PAGES):
            page = self.document("GET", path, **request)
            rows, following = page.get("results"), page.get("next")
            if not isinstance(rows, list):
                raise self.unexpected()
            yield from rows
            if not following:
                return
            path, request = self.path_of(str(following)), {}

    def download(self, path: str, write: Callable[[bytes], object]) -> None:
        """The body, handed on in pieces; one that breaks off is no success. Raises ClientError."""
        try:
            with self._client.stream("GET", self._address(path), headers={"Accept": "*/*"}) as response:
                if response.status_code != HTTPStatus.OK:
                    raise self._refusal(self._whole(response))
                for piece in response.iter_bytes():
                    write(piece)
        except httpx.RequestError as error:
            raise self._unreachable(error) from error

    def parse(self, response: httpx.Response) -> dict[str, Any]:
        try:
            content = response.json()
        except (ValueError, RecursionError) as error:
            raise self.unexpected() from error
        if not isinstance(content, dict):
            raise self.unexpected()
        return content

    def unexpected(self) -> ClientError:
        return ClientError(
            f"{self.url} answered with something that is not this API. Is it the address of the site, and is "
            "this program of the same version?",
            code="unexpected_answer",
        )

    def _whole(self, streamed: httpx.Response) -> httpx.Response:
        """The answer with its content, within bounds: a few bytes on the way may unpack to any number."""
        content = bytearray()
        for piece in streamed.iter_bytes():
            content += piece
            if len(content) > MOST_BYTES:
                raise self.unexpected()
        # The content is unpacked, and headers that say otherwise would have it unpacked once more.
        coded = ("content-encoding", "content-length", "transfer-encoding")
        headers = [(name, value) for name, value in streamed.headers.multi_items() if name not in coded]
        return httpx.Response(streamed.status_code, headers=headers, content=bytes(content))

    def path_of(self, address: str) -> str:
        """Path and query of an address that the site gave."""
        parts = urlsplit(address)
        if not parts.path.startswith("/"):
            raise self.unexpected()
        return f"{parts.path}?{parts.query}" if parts.query else parts.path

    def _address(self, path: str) -> str:
        if not path.startswith("/"):
            return f"{self.url}/api/v1/{path}"
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}{path}"

    def _unreachable(self, error: httpx.RequestError) -> ClientError:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return ClientError(f"The certificate of {self.url} is not trusted: {cause.verify_message}.")
            cause = cause.__cause__ or cause.__context__
        reason = str(error) or type(error).__name__
        return TemporaryError(
            f"{self.url} cannot be reached ({reason}). Check the address and your connection, and run the "
            "same command again.",
            code="unreachable",
        )

    def _refusal(self, response: httpx.Response) -> ClientError:
        problem = _problem(response)
        status = response.status_code
        # OAuth's own endpoints have RFC 6749's two fields instead of a problem's.
        said = problem.get("detail") or problem.get("error_description")
        detail = str(said or f"The site answered {status} {response.reason_phrase}.")
        code = str(problem.get("type") or "").removeprefix("urn:flowertune:problem:")
        code = code or str(problem.get("error") or f"http_{status}")
        findings = _findings(problem)
        if status == HTTPStatus.UNAUTHORIZED:
            remedy = "Run `flowertune login` for a new token." if self._has_token else _LOG_IN
            return ClientError(f"{detail} {remedy}", code=code)
        if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
            return NotThere(detail, findings, code=code)
        wait = _retry_after(response)
        if status == HTTPStatus.TOO_MANY_REQUESTS and wait is None:
            wait = math.inf  # a limit that time alone does not lift
        in_progress = status == HTTPStatus.CONFLICT and wait is not None
        busy = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.LOCKED, HTTPStatus.TOO_MANY_REQUESTS)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in busy or in_progress:
            later = f" Try again in {_duration(wait)}." if wait and math.isfinite(wait) else ""
            return TemporaryError(f"{detail}{later}", findings, code=code, wait=wait)
        return ClientError(detail, findings, code=code)


def normal_url(text: str) -> str:
    """The site's address without what may differ. Raises UsageError for what is none."""
    try:
        parts = urlsplit(text.strip())
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"{text} is no address of a site: {error}.") from error
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError(f"{text} is no address of a site. Write it like https://leaderboard.example.org")
    if parts.username is not None or parts.query or parts.fragment:
        raise UsageError("Give the site's address alone, without a user, `?` or `#`.")
    shown = f"[{host}]" if ":" in host else host
    default = {"http": 80, "https": 443}[parts.scheme]
    netloc = shown if port in (None, default) else f"{shown}:{port}"
    return f"{parts.scheme}://{netloc}{parts.path.rstrip('/')}"


def is_in_the_clear(url: str) -> bool:
    """Whether a token would travel unencrypted to another machine."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in _LOOPBACK


def checked_token(text: str) -> str:
    """The token without white space around it. Raises UsageError, which does not show it."""
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError("This is no token: it is empty, or has characters that no token has.")
    return token


def _problem(response: httpx.Response) -> Mapping[str, Any]:
    """The problem document, empty where something before the site answered."""
    try:
        content = response.json()
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _findings(problem: Mapping[str, Any]) -> list[RecordedFinding]:
    given = problem.get("findings")
    return [as_finding(row) for row in given if isinstance(row, dict)] if isinstance(given, list) else []


def as_finding(row: Mapping[str, Any]) -> RecordedFinding:
    """A finding as the API writes it, by a site of any version; of unknown severity, an error."""
    severity = row.get("severity")
    known = Severity(severity) if severity in list(Severity) else Severity.ERROR
    code, message, location = (str(row.get(name) or "") for name in ("code", "message", "location"))
    return RecordedFinding(code, known, message, location)


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds, from either form that RFC 9110 has."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time()) if text else None
    except ValueError:
        return None


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{math.ceil(seconds)} seconds"
    return f"{math.ceil(seconds / 60)} minutes" if seconds < 5400 else f"{math.ceil(seconds / 3600)} hours"
