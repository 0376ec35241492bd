"""`login` and `logout`: a site's token, checked and kept on this machine, or forgotten."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from flowertune.commands.options import TOKEN_VARIABLE, URL_VARIABLE, Commands, Context, add_command
from flowertune.errors import UsageError
from flowertune.exit_status import Status
from flowertune.kept_files import Credentials
from flowertune.site import Site, checked_token, is_in_the_clear, normal_url


def add(commands: Commands) -> None:
    login = add_command(
        commands,
        "login",
        _login,
        summary="check a token and keep it for this site",
        about=(
            "Check an API token with the site and keep it, readable for you alone. Make it on your account's "
            f"page of API tokens. In CI set {URL_VARIABLE} and {TOKEN_VARIABLE} instead."
        ),
        examples=(
            "  flowertune login --url https://leaderboard.example.org\n"
            "  flowertune login --url https://leaderboard.example.org --token - < token.txt\n"
        ),
    )
    login.add_argument(
        "--token",
        metavar="TOKEN",
        help="the token, or - to read it from stdin; without it you are asked (others on this machine may "
        "see what stands on a command line)",
    )
    add_command(
        commands,
        "logout",
        _logout,
        summary="forget the token for this site",
        about="Forget the site's token on this machine. To make it useless everywhere, revoke it on your "
        "account's page of API tokens.",
        examples="  flowertune logout\n",
    )


def _login(context: Context) -> Status:
    console, options = context.console, context.options
    given = options.url or os.environ.get(URL_VARIABLE) or ""
    stored = Credentials.read()
    url = normal_url(
        given or console.ask("Address of the site", default=stored.default or "", option="--url")
    )
    if is_in_the_clear(url):
        console.note(f"warning: {url} has no encryption; whoever is in between can read the token.")
    token = _token(context)
    with Site(url, token) as site:
        about = site.document("GET", "tokens/current/")
        if "scopes" not in about or "user" not in about:
            raise site.unexpected()
        path = stored.with_token(url, token).write()
    console.result({"url": url, "token": about, "stored_in": str(path)}, _described(url, about))
    if "submit" not in about["scopes"]:
        console.note("warning: this token may only read. To submit, make one with the scope “submit”.")
    return Status.DONE


def _token(context: Context) -> str:
    given = context.options.token
    if given == "-":
        given = sys.stdin.readline()
    if given is None:
        given = os.environ.get(TOKEN_VARIABLE) or context.console.secret("Token", option="--token -")
    return checked_token(given)


def _described(url: str, about: Mapping[str, Any]) -> str:
    expiry = f", until {about['expires_at'][:10]}" if about.get("expires_at") else ""
    return f"Logged in to {url} as {about['user']} ({', '.join(about['scopes'])}{expiry})."


def _logout(context: Context) -> Status:
    stored = Credentials.read()
    given = context.options.url or stored.default
    url = normal_url(given) if given else None
    if url is None or url not in stored.tokens:
        raise UsageError(f"There is no token here for {url or 'any site'}.")
    stored.without(url).write()
    context.console.result({"url": url, "forgotten": True}, f"Logged out of {url}.")
    return Status.DONE
