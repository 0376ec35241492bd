"""A hub on the loopback device: the few endpoints that fetching a model or a data set uses."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import unquote

COMMIT = "c" * 40


class HubServer:
    """Serves one repository at one commit; `requests` records the paths asked for, `headers` their headers.

    `announced` overrides the sizes that the listing names, `delivered` the bytes that come, and `redirects`
    sends the request for a file to another address. Files in `large` are announced by their SHA-256, and the
    connection that first brings one in `cut` breaks off half-way. `others` are served at the same address.
    `renamed` is what it calls the repository today. Whose token is among `writers` may propose changes, which
    are kept in `pull_requests`. `collections` are lists of repositories by their slugs. It has enough of
    requests for those that are `limited`.
    """

    def __init__(
        self,
        repo: str,
        files: Mapping[str, bytes],
        *,
        kind: Literal["model", "dataset"] = "model",
        commit: str = COMMIT,
        branch: str = "main",
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.repo = repo
        self.files = dict(files)
        self.commit = commit
        self.branch = branch
        self.announced: dict[str, int] = {}
        self.delivered: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        self.large: set[str] = set()
        self.cut: set[str] = set()
        self.gated = False
        self.others: list[HubServer] = []
        self.renamed = ""
        self.limited: set[str] = set()
        self.writers: set[str] = set()
        self.pull_requests: list[dict[str, Any]] = []
        self.collections: dict[str, list[str]] = {}
        self.requests: list[str] = []
        self.headers: list[dict[str, str]] = []
        self._api_path = f"/api/{kind}s/{repo}"
        self._files_path = f"/{'datasets/' if kind == 'dataset' else ''}{repo}/resolve/"
        self._file_path = f"{self._files_path}{commit}/"
        self._server = ThreadingHTTPServer((host, port), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> HubServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        for server in (self, *self.others):
            server._server.server_close()
        self._thread.join()

    def respond(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for a path without its query."""
        if any(repo in path for repo in self.limited):
            return 429, {}, b""
        if path.startswith("/api/collections"):
            return self._collections(path.removeprefix("/api/collections").strip("/"))
        if path.startswith(self._api_path):
            return self._api(path.removeprefix(self._api_path))
        path = path.replace(f"{self._files_path}{self.branch}/", self._file_path, 1)
        name = path.removeprefix(self._file_path)
        if path.startswith(self._file_path) and name in self.files:
            body = self.delivered.get(name, self.files[name])
            headers = {"ETag": f'"{hashlib.sha256(body).hexdigest()}"', "X-Repo-Commit": self.commit}
            if name in self.redirects:
                return 302, headers | {"Location": self.redirects[name]}, b""
            return 200, headers, body
        if path.startswith(self._file_path):
            return 404, {"X-Error-Code": "EntryNotFound"}, b""
        for other in self.others:
            if path.startswith((other._api_path, other._file_path)):
                return other.respond(path)
        return 404, {"X-Error-Code": "RepoNotFound"}, b""

    def _api(self, rest: str) -> tuple[int, dict[str, str], bytes]:
        if self.gated:
            return 403, {"X-Error-Code": "GatedRepo"}, b""
        revision = rest.removeprefix("/revision/")
        if rest.startswith("/revision/") and revision not in (self.branch, self.commit):
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        if rest.startswith("/commits/"):
            commit = {"id": self.commit, "title": "Upload", "message": "", "date": "2026-01-01T00:00:00.000Z"}
            return 200, {"Content-Type": "application/json"}, json.dumps([commit | {"authors": []}]).encode()
        if rest.startswith("/tree/"):
            listing: object = [{"type": "file", "path": name, **self._facts(name)} for name in self.files]
        else:
            siblings = [self._sibling(name) for name in self.files]
            listing = {"id": self.renamed or self.repo, "sha": self.commit, "siblings": siblings}
        return 200, {"Content-Type": "application/json"}, json.dumps(listing).encode()

    def _collections(self, slug: str) -> tuple[int, dict[str, str], bytes]:
        """A collection by its whole name, or all of them."""
        facts = {"lastUpdated": "2026-01-01T00:00:00.000Z", "private": False, "theme": "green"}
        known = [
            {
                **facts,
                "slug": name,
                "title": name.rpartition("/")[2],
                "owner": {"name": name.partition("/")[0]},
                "upvotes": 0,
                "items": [
                    {"_id": f"{number}", "id": repo, "type": "model", "position": number}
                    for number, repo in enumerate(repositories)
                ],
            }
            for name, repositories in self.collections.items()
        ]
        answer: object = known  # in which the hub gives no position
        if slug:
            answer = next((one | {"position": 0} for one in known if one["slug"] == slug), None)
        if answer is None:
            return 404, {}, b""
        return 200, {"Content-Type": "application/json"}, json.dumps(answer).encode()

    def propose(self, token: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Keep a pull request, whose lines are those of a commit."""
        if token not in self.writers:
            return 403, {}, b""
        header, *files = [json.loads(line) for line in body.splitlines()]
        contents = {one["value"]["path"]: base64.b64decode(one["value"]["content"]) for one in files}
        self.pull_requests.append({**header["value"], "files": contents})
        address = f"{self.url}/{self.repo}/discussions/{len(self.pull_requests)}"
        answer = json.dumps({"success": True, "pullRequestUrl": address}).encode()
        return 200, {"Content-Type": "application/json"}, answer

    def _facts(self, name: str) -> dict[str, Any]:
        body = self.files[name]
        blob = b"blob %d\0" % len(body) + body
        return {"size": len(body), "oid": hashlib.sha1(blob).hexdigest()}  # noqa: S324 - git's

    def _sibling(self, name: str) -> dict[str, Any]:
        facts = self._facts(name)
        sibling = {"rfilename": name, "size": self.announced.get(name, facts["size"]), "blobId": facts["oid"]}
        if name in self.large:
            digest = hashlib.sha256(self.files[name]).hexdigest()
            # The blob of a large file is a note that names it, so its identifier says nothing of the content.
            sibling |= {
                "blobId": "0" * 40,
                "lfs": {"sha256": digest, "size": facts["size"], "pointerSize": 134},
            }
        return sibling

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                self._answer(with_body=False)

            def do_GET(self) -> None:
                self._answer(with_body=True)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, headers, answer = 404, dict[str, str](), b""
                if self.path == f"{hub._api_path}/commit/{hub.branch}?create_pr=1":
                    token = (self.headers["Authorization"] or "").removeprefix("Bearer ")
                    status, headers, answer = hub.propose(token, body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def _answer(self, *, with_body: bool) -> None:
                path = unquote(self.path.partition("?")[0])
                hub.requests.append(path)
                hub.headers.append({name.lower(): value for name, value in self.headers.items()})
                status, headers, body = hub.respond(path)
                length = len(body)
                if with_body and path.rpartition("/")[2] in hub.cut:
                    hub.cut.remove(path.rpartition("/")[2])
                    self.close_connection = True
                    body = body[: length // 2]
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(length))
                self.end_headers()
                if with_body:
                    self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing: `requests` is the log."""

        return Handler
