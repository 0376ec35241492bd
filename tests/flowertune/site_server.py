"""A small site on loopback that speaks the endpoints the client uses, and breaks where a test asks for it."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.evaluation import adapters

TOKEN = "flt_test-token"
BASE_MODEL = "Example/Tiny-Llama"


@dataclass
class Fault:
    """Answer the next request of `method` whose path begins with `path` so; status 0 breaks the connection.

    With `after` the request is done first and only its answer lost.
    """

    method: str
    path: str
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    after: bool = False


@dataclass
class State:
    uploads: dict[str, tuple[int, bytearray]] = field(default_factory=dict)
    submissions: list[dict[str, Any]] = field(default_factory=list)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    faults: deque[Fault] = field(default_factory=deque)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    received: int = 0
    max_base_parameters: int = 24_000_000_000
    parameters: int = 1000
    findings: list[dict[str, str]] = field(default_factory=list)
    statuses: deque[dict[str, Any]] = field(default_factory=deque)
    """What the submission becomes, one step at each time it is read."""


class SiteServer(ThreadingHTTPServer):
    """Use as a context manager."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.state = State()
        self.thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> SiteServer:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.thread.join()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """Without keep-alive, so that each request shows whether the client can live without it."""

    server: SiteServer

    def log_message(self, format: str, *args: Any) -> None:
        """Tests are quiet."""

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PATCH = do_HEAD = do_DELETE = do_GET

    def _serve(self) -> None:
        state = self.server.state
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlsplit(self.path).path.removeprefix("/api/v1")
        state.requests.append((self.command, path, dict(self.headers.items())))
        fault = next((f for f in state.faults if f.method == self.command and path.startswith(f.path)), None)
        if fault:
            state.faults.remove(fault)
            if fault.after:
                self._route(path, body, is_lost=True)
                self._is_lost = False
            if fault.status:
                self._answer(fault.status, fault.body, fault.headers)
            else:
                self.close_connection = True
            return
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._problem(401, "authentication_failed")
            return
        self._route(path, body)

    def _route(self, path: str, body: bytes, *, is_lost: bool = False) -> None:
        self._is_lost = is_lost
        match path.strip("/").split("/"):
            case ["tokens", "current"]:
                self._json(200, {"user": "sender", "scopes": ["read", "submit"], "expires_at": None})
            case ["base-models"]:
                self._json(200, {"next": None, "results": [{"hub_id": BASE_MODEL, "parameters": 1000}]})
            case ["base-models", *parts] if "/".join(parts) == BASE_MODEL:
                known = {"hub_id": BASE_MODEL, "revision": "", "parameters": self.server.state.parameters}
                self._json(200, {**known, "tensors": adapters.base_model().to_json()})
            case ["challenges", slug]:
                self._json(200, {"slug": slug, "max_base_parameters": self.server.state.max_base_parameters})
            case ["uploads"]:
                self._begin()
            case ["uploads", key]:
                self._upload(key, body)
            case ["submissions"] if self.command == "POST":
                self._submit(json.loads(body))
            case ["submissions"]:
                self._json(200, {"next": None, "results": self.server.state.submissions})
            case ["submissions", number, "send"]:
                self.server.state.submissions[-int(number)]["status"] = "queued"
                self._submission(int(number))
            case ["submissions", number] if self.command == "PATCH":
                self.server.state.submissions[-int(number)] |= {"edited_at": "later", **json.loads(body)}
                self._submission(int(number))
            case ["submissions", number]:
                self._submission(int(number))
            case ["items", name]:
                self._answer(200, b'{"id": 1}\n' if name == "fpb" else b"", {})
            case _:
                self._problem(404, "not_found")

    def _begin(self) -> None:
        state = self.server.state
        key = f"upload{len(state.uploads)}"
        state.uploads[key] = (int(self.headers["Upload-Length"]), bytearray())
        # As a site behind a proxy may say it: another name, the same path.
        self._answer(201, b"", {"Location": f"https://inside.example.org/api/v1/uploads/{key}/"})

    def _upload(self, key: str, body: bytes) -> None:
        state = self.server.state
        if key not in state.uploads:
            self._problem(404, "upload.unknown")
            return
        length, content = state.uploads[key]
        if self.command == "PATCH":
            offset = int(self.headers["Upload-Offset"])
            digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
            if offset != len(content):
                self._problem(409, "upload.offset")
                return
            if self.headers["Upload-Checksum"] != f"sha256 {digest}":
                self._problem(460, "upload.checksum")
                return
            content += body
            state.received += len(body)
        if self.command == "GET":
            whole = hashlib.sha256(content).hexdigest() if len(content) == length else ""
            self._json(200, {"sha256": whole, "complete": bool(whole)})
            return
        if self.command == "DELETE":
            del state.uploads[key]
        status = 200 if self.command == "HEAD" else 204
        self._answer(status, b"", {"Upload-Offset": str(len(content))})

    def _submit(self, body: dict[str, Any]) -> None:
        state = self.server.state
        key = self.headers["Idempotency-Key"]
        if known := state.answers.get(key):
            self._json(201, known, {"Idempotency-Replayed": "true"})
            return
        if state.findings:
            self._problem(422, "invalid_submission", state.findings)
            return
        upload = body.get("adapter_upload")
        content = state.uploads[upload][1] if upload else b""
        made = submission(len(state.submissions) + 1)
        made |= {"challenge": body["challenge"], "method": body["method"], "base_model": body["base_model"]}
        made["checkpoint"] = hashlib.sha256(content).hexdigest() if upload and not body["draft"] else None
        made["status"] = "received" if body["draft"] else "queued"
        state.submissions.insert(0, made)
        state.answers[key] = dict(made)
        self._json(201, made)

    def _submission(self, number: int) -> None:
        state = self.server.state
        found = next((made for made in state.submissions if made["id"] == number), None)
        if found is None:
            self._problem(404, "not_found")
            return
        if state.statuses:
            found |= state.statuses.popleft()
        etag = f'"{hashlib.sha256(json.dumps(found).encode()).hexdigest()}"'
        if self.headers.get("If-None-Match") == etag:
            self._answer(304, b"", {"ETag": etag})
            return
        self._json(200, found, {"ETag": etag})

    def _json(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(content).encode()
        self._answer(status, body, {"Content-Type": "application/json", **(headers or {})})

    def _problem(self, status: int, code: str, findings: list[dict[str, str]] | None = None) -> None:
        problem = {"type": f"urn:flowertune:problem:{code}", "status": status, "detail": f"Refused: {code}."}
        self._json(status, problem | ({"findings": findings} if findings else {}))

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        if getattr(self, "_is_lost", False):
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def submission(number: int, **changes: Any) -> dict[str, Any]:
    """A submission as the API writes it."""
    return {
        "id": number,
        "url": f"https://example.org/submissions/{number}/",
        "status": "queued",
        "challenge": "finance",
        "method": "FedAvg",
        "team": "sender",
        "base_model": BASE_MODEL,
        "checkpoint": None,
        "created_at": "2026-11-20T09:30:00Z",
        "hub": None,
        "findings": [],
        "evaluations": [],
        **changes,
    }


def evaluation(status: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": 1,
        "status": status,
        "protocol": 1,
        "progress": None,
        "scores": [],
        "error_code": "",
        "error_message": "",
        **changes,
    }


def score(benchmark: str, value: float, items: str | None = None) -> dict[str, Any]:
    return {
        "benchmark": benchmark,
        "value": value,
        "standard_error": 0.01,
        "n": 100,
        "correct": round(100 * value),
        "unscored": 0,
        "official": True,
        "items": items,
    }
