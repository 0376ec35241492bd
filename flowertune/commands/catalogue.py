"""`challenges` and `base-models`: what one may submit to, and with which model below."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from evaluation import rules
from evaluation.checkpoints import BaseModelTensors
from evaluation.errors import ModelError
from evaluation.inspection import KnownBase
from evaluation.method.communication import size_text
from evaluation.rules import Rules
from evaluation.rules.base_size import LARGEST_BASE_PARAMETERS
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
        about="List the site's challenges: benchmarks, number of clients, communication budget and "
        "the largest base model.",
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


def base_models(site: Site) -> dict[str, tuple[str, ...]]:
    """The hub ids of the listed base models, each with the other names that it has."""
    return {
        str(row.get("hub_id")): tuple(map(str, row.get("aliases") or ())) for row in site.rows("base-models/")
    }


def base_model(site: Site, hub_id: str) -> KnownBase:
    """A listed base model as the site knows it. Raises ClientError where it is no model that this knows."""
    row = site.document("GET", f"base-models/{quote(hub_id)}/")
    try:
        return KnownBase(
            hub_id=str(row["hub_id"]),
            revision=str(row["revision"]) or None,
            aliases=tuple(map(str, row.get("aliases") or ())),
            parameters=int(row["parameters"]),
            tensors=BaseModelTensors.from_json(row["tensors"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, ModelError) as error:
        raise site.unexpected() from error


def rules_of(site: Site, challenge: str) -> Rules:
    """A challenge's rules with this site's limits; those of the benchmark where the site states none."""
    limit = site.document("GET", f"challenges/{challenge}/").get("max_base_parameters")
    return rules.of(
        challenge, max_base_parameters=limit if isinstance(limit, int) else LARGEST_BASE_PARAMETERS
    )


def _challenges(context: Context) -> Status:
    with context.site(needs_token=False) as site:
        rows = list(site.rows("challenges/"))
    shown = [
        (
            row["slug"],
            ", ".join(row["benchmarks"]),
            str(row["clients"]),
            size_text(row["communication_budget_bytes"]),
            _billions(row.get("max_base_parameters")),
        )
        for row in rows
    ]
    head = ("challenge", "benchmarks", "clients", "budget", "base model up to")
    context.console.result({"results": rows}, table(shown, head=head, right=(2, 3, 4)))
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
