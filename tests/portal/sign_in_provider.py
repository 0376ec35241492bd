"""Another site's sign-in on loopback: OpenID Connect as Hugging Face has it, and OAuth as GitHub has it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt

SECRET = "the secret of a client on loopback, long enough for a digest"


@dataclass
class Person:
    """Who is signed in at the other site."""

    sub: str = "65a0c0ffee"
    name: str = "jo"
    email: str = "jo@example.org"
    verified: bool = True
    refuses: bool = False


@dataclass
class Provider:
    """`url` with the endpoints of both; `person` answers all questions."""

    url: str
    person: Person = field(default_factory=Person)
    verifiers: list[str] = field(default_factory=list)
    """PKCE verifiers that were sent with codes."""

    @property
    def settings(self) -> dict[str, Any]:
        """For SOCIALACCOUNT_PROVIDERS."""
        client = {"client_id": "leaderboard", "secret": SECRET}
        openid = {"provider_id": "huggingface", "name": "Hugging Face", "settings": {"server_url": self.url}}
        return {
            "openid_connect": {"APPS": [client | openid], "OAUTH_PKCE_ENABLED": True},
            "github": {"APPS": [client | {"name": "GitHub"}], "SCOPE": ["user:email"]},
        }

    @property
    def github(self) -> dict[str, str]:
        """The paths of GitHub's endpoints, whose addresses allauth has in attributes of its adapter."""
        return {
            "access_token_url": "/login/oauth/access_token",
            "authorize_url": "/login/oauth/authorize",
            "profile_url": "/user",
            "emails_url": "/user/emails",
        }


@contextmanager
def running() -> Iterator[Provider]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Endpoint)
    provider = Provider(f"http://127.0.0.1:{server.server_port}")
    server.provider = provider  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Endpoint(BaseHTTPRequestHandler):
    @property
    def provider(self) -> Provider:
        return self.server.provider  # type: ignore[attr-defined]

    def do_GET(self) -> None:
        path, person, url = urlsplit(self.path).path, self.provider.person, self.provider.url
        if path in ("/authorize", "/login/oauth/authorize"):
            self._send_back()
        elif path == "/.well-known/openid-configuration":
            names = {"authorization": "authorize", "token": "token", "userinfo": "userinfo"}
            endpoints = {f"{name}_endpoint": f"{url}/{place}" for name, place in names.items()}
            self._answer(endpoints | {"issuer": url, "jwks_uri": f"{url}/keys"})
        elif path == "/userinfo":
            self._answer(_claims(person))
        elif path == "/user":
            self._answer({"id": 42, "login": person.name, "email": None})
        elif path == "/user/emails":
            address = {"email": person.email, "primary": True, "verified": person.verified}
            self._answer([address])
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        body = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.provider.verifiers += body.get("code_verifier", [])
        assert body["code"] == ["a code"]
        now = int(time.time())
        token = {"iss": self.provider.url, "aud": "leaderboard", "iat": now, "exp": now + 600}
        signed = jwt.encode(_claims(self.provider.person) | token, SECRET, algorithm="HS256")
        self._answer({"access_token": "access", "token_type": "bearer", "id_token": signed})

    def _send_back(self) -> None:
        """As after the person's yes, or no."""
        asked = parse_qs(urlsplit(self.path).query)
        answer = {"error": "access_denied"} if self.provider.person.refuses else {"code": "a code"}
        self.send_response(302)
        self.send_header(
            "Location", f"{asked['redirect_uri'][0]}?{urlencode(answer | {'state': asked['state'][0]})}"
        )
        self.end_headers()

    def _answer(self, content: Any) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, format: str, *arguments: Any) -> None:
        """Tests read no access log."""


def _claims(person: Person) -> dict[str, Any]:
    told = {"sub": person.sub, "preferred_username": person.name}
    return told | ({"email": person.email, "email_verified": person.verified} if person.email else {})
