"""Signing in through the browser: the OAuth 2.0 device authorization grant (RFC 8628)."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import time
import webbrowser
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from flowertune.errors import ClientError, TemporaryError
from flowertune.site import Site

_CLIENT = "flowertune"
_GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"
_SLOWER_SECONDS = 5.0
_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")


@dataclass(frozen=True)
class Question:
    """What a person is asked: to enter `code` at `page`; `direct` has the code in it already."""

    code: str
    page: str
    direct: str


def sign_in(site: Site, ask: Callable[[Question], object]) -> str:
    """A token that a person allowed in the browser; `ask` is told how. Raises ClientError.

    NotThere where the site does not know this way.
    """
    device = {"client_id": _CLIENT, "scope": "read submit", "device_name": platform.node()[:60]}
    begun = site.document("POST", _oauth(site, "device_authorization"), data=device)
    try:
        code, left = str(begun["device_code"]), float(begun["expires_in"])
        interval = float(begun.get("interval", 5))
        question = Question(
            str(begun["user_code"]),
            _page(site, begun["verification_uri"]),
            _page(site, begun.get("verification_uri_complete", begun["verification_uri"])),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise site.unexpected() from error
    ask(question)
    deadline = time.monotonic() + left
    while time.monotonic() < deadline:
        site.pause(interval)
        answer = _asked(site, code)
        if token := answer.get("access_token"):
            return str(token)
        if answer.get("error") == "slow_down":
            interval += _SLOWER_SECONDS
    raise ClientError(
        "Nobody allowed it in time. Run the command again for a new code.", code="expired_token"
    )


def open_browser(address: str) -> bool:
    """Show a page where there is a screen; a browser of the terminal would only get in the way."""
    has_screen = sys.platform in ("darwin", "win32") or any(map(os.environ.get, _DISPLAYS))
    if not has_screen:
        return False
    with contextlib.suppress(webbrowser.Error):
        return webbrowser.open(address)
    return False


def _asked(site: Site, device_code: str) -> Mapping[str, Any]:
    """The answer to one request for the token; of refusals those that mean to wait."""
    body = {"grant_type": _GRANT_TYPE, "client_id": _CLIENT, "device_code": device_code}
    try:
        return site.parse(site.send_once("POST", _oauth(site, "token"), data=body))
    except TemporaryError:
        return {"error": "slow_down"}  # the network or the site: RFC 8628, section 3.5
    except ClientError as error:
        if error.code in ("authorization_pending", "slow_down"):
            return {"error": error.code}
        raise


def _oauth(site: Site, name: str) -> str:
    return f"{urlsplit(site.url).path}/oauth/{name}"


def _page(site: Site, address: object) -> str:
    """An address of this site, whatever host the answer names: a browser is sent nowhere else."""
    parts = urlsplit(site.url)
    return f"{parts.scheme}://{parts.netloc}{site.path_of(str(address))}"
