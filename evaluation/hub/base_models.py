"""The folder of a base model that a command line names: itself, the demonstration's, or one from the hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evaluation.demonstration import installed_model
from evaluation.errors import ModelError
from evaluation.hub import fetching

METAVAR = "DIR_OR_ID"
HELP = f"a folder, a hub id, or `{installed_model.NAME}` for the small model that is built from its package"


@dataclass(frozen=True)
class NamedModel:
    """`hub_id` is None where only the folder is known; `title` is what provenance calls the model."""

    folder: Path
    title: str
    hub_id: str | None = None


def named(name: str) -> NamedModel:
    """What `name` means. Raises ModelError where it means nothing or is not to be had; HubError where the hub
    is at fault.
    """
    if name == installed_model.NAME:
        folder = installed_model.built()
        return NamedModel(folder, folder.name, installed_model.HUB_ID)
    folder = Path(name)
    if folder.is_dir():
        return NamedModel(folder, folder.resolve().name)
    if folder.is_absolute() or name.startswith(".") or not fetching.is_hub_id(name):
        raise ModelError(f"there is no model folder {name}")
    snapshot = fetching.fetch(name)
    return NamedModel(snapshot.folder, f"{snapshot.repo}@{snapshot.commit}", snapshot.repo)
