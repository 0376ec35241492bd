"""`challenges` and `base-models`: what one may submit to, and with which model below."""

from __future__ import annotations

from typing import Any

from evaluation.method.communication import size_text
from flowertune.commands.options import Commands, Context, add_command
from flowertune.console import table
from flowertune.exit_status import Status
from flowertune.site import Site


def add(commands: Commands) -> None:
    add_command(
        commands,
        "challenges",
        _challenges,
        summary="list the challenges and their rules",
        about="List the site's challenges: benchmarks, number of clients and communication budget.",
        examples="  flowertune challenges\n",
    )
    add_command(
        commands,
        "base-models",
        _base_models,
        summary="list the base models that take submissions",
        about="List the base models that submissions may build on.",
        examples="  flowertune base-models\n",
    )


def base_models(site: Site) -> list[str]:
    """The hub ids of the listed base models."""
    return [str(row.get("hub_id")) for row in site.rows("base-models/")]


def _challenges(context: Context) -> Status:
    with context.site(needs_token=False) as site:
        rows = list(site.rows("challenges/"))
    shown = [
        (
            row["slug"],
            ", ".join(row["benchmarks"]),
            str(row["clients"]),
            size_text(row["communication_budget_bytes"]),
        )
        for row in rows
    ]
    head = ("challenge", "benchmarks", "clients", "budget")
    context.console.result({"results": rows}, table(shown, head=head, right=(2, 3)))
    return Status.DONE


def _base_models(context: Context) -> Status:
    with context.site(needs_token=False) as site:
        rows = list(site.rows("base-models/"))
    shown = [(row["hub_id"], _billions(row.get("parameters")), row.get("licence") or "–") for row in rows]
    text = table(shown, head=("base model", "parameters", "licence"), right=(1,))
    context.console.result({"results": rows}, text if rows else "No base model takes submissions now.")
    return Status.DONE


def _billions(parameters: Any) -> str:
    return f"{parameters / 1e9:.2f} B" if parameters else "–"
