"""A model hub on the loopback device: the few endpoints that fetching a model uses."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

COMMIT = "c" * 40


class HubServer:
    """Serves one repository at one commit; `requests` records the paths that were asked for.

    `announced` overrides the sizes that the listing names.
    """

    def __init__(self, repo: str, files: Mapping[str, bytes]) -> None:
        self.repo = repo
        self.files = dict(files)
        self.announced: dict[str, int] = {}
        self.gated = False
        self.requests: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> HubServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def respond(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for a path without its query."""
        if path.startswith(f"/api/models/{self.repo}"):
            return self._api(path.removeprefix(f"/api/models/{self.repo}"))
        marker = f"/{self.repo}/resolve/{COMMIT}/"
        if path.startswith(marker) and path.removeprefix(marker) in self.files:
            body = self.files[path.removeprefix(marker)]
            return 200, {"ETag": f'"{hashlib.sha256(body).hexdigest()}"', "X-Repo-Commit": COMMIT}, body
        return 404, {"X-Error-Code": "RepoNotFound"}, b""

    def _api(self, rest: str) -> tuple[int, dict[str, str], bytes]:
        if self.gated:
            return 403, {"X-Error-Code": "GatedRepo"}, b""
        if rest.startswith("/revision/") and rest.removeprefix("/revision/") not in ("main", COMMIT):
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        if rest.startswith("/tree/"):
            listing: object = [
                {"type": "file", "path": name, "size": len(body), "oid": hashlib.sha1(body).hexdigest()}  # noqa: S324 - git's
                for name, body in self.files.items()
            ]
        else:
            siblings = [
                {"rfilename": name, "size": self.announced.get(name, len(body))}
                for name, body in self.files.items()
            ]
            listing = {"id": self.repo, "sha": COMMIT, "siblings": siblings}
        return 200, {"Content-Type": "application/json"}, json.dumps(listing).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                self._answer(with_body=False)

            def do_GET(self) -> None:
                self._answer(with_body=True)

            def _answer(self, *, with_body: bool) -> None:
                path = unquote(self.path.partition("?")[0])
                hub.requests.append(path)
                status, headers, body = hub.respond(path)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if with_body:
                    self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing: `requests` is the log."""

        return Handler
