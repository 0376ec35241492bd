"""A pull request on a repository of models: files added or changed, for its owner to take or leave.

By the hub's HTTP interface alone, without its library: the participants' client makes it.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus

import httpx

from evaluation.errors import HubError, ModelError

TOKEN_VARIABLE, ENDPOINT_VARIABLE = "HF_TOKEN", "HF_ENDPOINT"
_PUBLIC = "https://huggingface.co"
_TIMEOUT = httpx.Timeout(60.0, connect=15.0)
_COME_BACK = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)


@dataclass(frozen=True)
class PullRequest:
    """What is proposed: contents by their path in the repository."""

    title: str
    description: str
    files: Mapping[str, bytes]


class Repository:
    """A repository of models on the hub, `owner/name`, with or without a token."""

    def __init__(self, name: str, token: str | None, endpoint: str = "") -> None:
        self.name = name
        self.endpoint = (endpoint or os.environ.get(ENDPOINT_VARIABLE) or _PUBLIC).rstrip("/")
        self._headers = {"User-Agent": "flowertune"} | ({"Authorization": f"Bearer {token}"} if token else {})

    def read(self, path: str) -> bytes | None:
        """A file of its main branch, None where there is none. Raises HubError, ModelError."""
        # What a file's address redirects to is another host, which httpx gives no token.
        response = self._sent("GET", f"/{self.name}/resolve/main/{path}", follow_redirects=True)
        if response.headers.get("X-Error-Code") == "EntryNotFound":
            return None
        return self._checked(response).content

    def open(self, request: PullRequest) -> str:
        """Open it and return its address. Raises HubError, ModelError."""
        response = self._sent(
            "POST",
            f"/api/models/{self.name}/commit/main",
            params={"create_pr": "1"},
            content="".join(f"{json.dumps(line)}\n" for line in _lines(request)).encode(),
            headers={"Content-Type": "application/x-ndjson"},
        )
        try:
            address = self._checked(response).json()["pullRequestUrl"]
        except (ValueError, KeyError, TypeError) as error:
            raise HubError(f"{self.endpoint} did not say where the pull request is") from error
        return str(address)

    def _sent(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        follow_redirects: bool = False,
    ) -> httpx.Response:
        try:
            return httpx.request(
                method,
                f"{self.endpoint}{path}",
                params=params,
                content=content,
                headers={**self._headers, **(headers or {})},
                follow_redirects=follow_redirects,
                timeout=_TIMEOUT,
            )
        except httpx.HTTPError as error:
            raise HubError(f"{self.endpoint} cannot be reached: {error}") from error

    def _checked(self, response: httpx.Response) -> httpx.Response:
        status = response.status_code
        if status < HTTPStatus.MULTIPLE_CHOICES:
            return response
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise ModelError(
                f"the hub refuses {self.name}: set {TOKEN_VARIABLE} to a token of yours that may write"
            )
        if status == HTTPStatus.NOT_FOUND:
            raise ModelError(f"the hub has no {self.name} that this token may see")
        said = response.headers.get("X-Error-Message") or response.reason_phrase
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _COME_BACK:
            raise HubError(f"the hub answered {status} for {self.name}: {said}; try again")
        raise ModelError(f"the hub answered {status} for {self.name}: {said}")


def _lines(request: PullRequest) -> Iterator[dict[str, object]]:
    yield {"key": "header", "value": {"summary": request.title, "description": request.description}}
    for path, content in request.files.items():
        encoded = base64.b64encode(content).decode()
        yield {"key": "file", "value": {"path": path, "content": encoded, "encoding": "base64"}}
