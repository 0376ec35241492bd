"""`login` and `logout`: a site's token, got through the browser or given, kept here or forgotten."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from flowertune.browser_sign_in import Question, open_browser, sign_in
from flowertune.commands.options import TOKEN_VARIABLE, URL_VARIABLE, Commands, Context, add_command
from flowertune.errors import NotThere, UsageError
from flowertune.exit_status import Status
from flowertune.kept_files import Credentials
from flowertune.site import Site, checked_token, is_in_the_clear, normal_url


def add(commands: Commands) -> None:
    login = add_command(
        commands,
        "login",
        _login,
        summary="sign in through the browser, or with a token",
        about=(
            "Show a code and open the site in the browser, where you compare it and let this program in; "
            "keep the token that it gets, readable for you alone. Without a browser here, open the page on "
            "any machine. With --token, a token made on the site is checked and kept instead; in CI set "
            f"{URL_VARIABLE} and {TOKEN_VARIABLE}."
        ),
        examples=(
            "  flowertune login --url https://leaderboard.example.org\n"
            "  flowertune login --url https://leaderboard.example.org --token - < token.txt\n"
        ),
    )
    login.add_argument(
        "--token",
        metavar="TOKEN",
        help="a token made on the site, or - to read it from stdin (others on this machine may see what "
        "stands on a command line)",
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
    token = _token(context, url)
    with Site(url, token) as site:
        about = site.document("GET", "tokens/current/")
        if "scopes" not in about or "user" not in about:
            raise site.unexpected()
        path = stored.with_token(url, token).write()
    console.result({"url": url, "token": about, "stored_in": str(path)}, _described(url, about))
    if "submit" not in about["scopes"]:
        console.note("warning: this token may only read. To submit, make one with the scope “submit”.")
    return Status.DONE


def _token(context: Context, url: str) -> str:
    given = context.options.token
    if given == "-":
        given = sys.stdin.readline()
    if given is None:
        given = os.environ.get(TOKEN_VARIABLE) or _from_browser(context, url)
    return checked_token(given)


def _from_browser(context: Context, url: str) -> str:
    """What a person allows there; asked for where the site is of a version that has no such page."""
    console = context.console
    if not console.is_interactive:
        raise UsageError(f"Token: not given. Add --token -, or set {TOKEN_VARIABLE}.")

    def ask(question: Question) -> None:
        console.note(f"Your code: {question.code}")
        opened = open_browser(question.direct)
        console.note(
            "Your browser shows the site: compare the code there, and allow this program in."
            if opened
            else f"Open {question.page} in a browser, on any machine, and enter the code there."
        )
        if opened:
            console.note(f"Should it not have opened: {question.page}")
        console.note("Waiting …")

    with Site(url) as site:
        try:
            return sign_in(site, ask)
        except NotThere:
            return console.secret("Token", option="--token -")


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
