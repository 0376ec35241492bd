"""The list of base models: registered from what stands in their own files, found by any of their names."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from evaluation.checkpoints import base_model_tensors
from evaluation.errors import ModelError
from portal.submissions.models import BaseModel
from portal.submissions.rules import all_site_rules


def open_challenges(parameters: int) -> list[str]:
    """The challenges whose limit a base model of this size keeps."""
    return [r.challenge.slug for r in all_site_rules() if parameters <= r.max_base_parameters]


def listed(name: str) -> BaseModel | None:
    """The base model of this name, closed ones included: by its hub id, else by one of its other names."""
    models = BaseModel.objects.defer("tensors")
    found = models.filter(hub_id__iexact=name).first()
    if found is not None:
        return found
    named = models.filter(aliases__icontains=name).order_by("-active", "pk")
    wanted = name.casefold()
    return next((each for each in named if wanted in map(str.casefold, each.other_names)), None)


def register_base_model(
    *,
    hub_id: str,
    folder: Path,
    revision: str = "",
    licence: str = "",
    aliases: Iterable[str] = (),
    from_hub: bool = False,
) -> BaseModel:
    """Add the model in `folder` to the list under `hub_id`, or renew its entry; `aliases` add to those it
    has.

    One that was only named so far, as by an imported entry, opens; what staff closed stays closed. Raises
    ModelError, also for a new one that is too large for every challenge: nobody could submit to it.
    """
    if hub_id.count("/") != 1:
        raise ModelError(f"“{hub_id}” is no hub id: it reads organisation/name")
    tensors = base_model_tensors(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    context = config.get("max_position_embeddings") or config.get("n_positions")
    if not isinstance(context, int):
        raise ModelError(
            f"{folder / 'config.json'} does not say the context length (max_position_embeddings)"
        )
    known = BaseModel.objects.filter(hub_id=hub_id).first()
    names = dict.fromkeys([*(known.other_names if known else ()), *aliases])
    if not open_challenges(tensors.parameters) and known is None:
        raise ModelError(
            f"{hub_id} has {tensors.parameters:,} parameters; the limit is "
            f"{max(rules.max_base_parameters for rules in all_site_rules()):,} "
            "(BASE_MODEL_MAX_PARAMETERS). Nothing was added"
        )
    base_model, _ = BaseModel.objects.update_or_create(
        hub_id=hub_id,
        defaults={
            "revision": revision,
            "local_path": "" if from_hub else str(folder),
            "parameters": tensors.parameters,
            "context_length": context,
            "licence": licence,
            "tensors": tensors.to_json(),
            "aliases": "\n".join(name for name in names if name.casefold() != hub_id.casefold()),
            "active": known is None or known.active or not known.tensors.get("shapes"),
        },
    )
    return base_model
