"""The `pyproject.toml` that describes a finished run, as the Flower app that it was."""

from __future__ import annotations

import json
from importlib.metadata import version

from evaluation.federated.config import FederatedConfig, Scalar
from evaluation.federated.data import TrainingData
from evaluation.rules import challenges


def pyproject(config: FederatedConfig, rows: TrainingData) -> str:
    """The text of a Flower app's `pyproject.toml` that describes this run, without this machine's paths.

    What it leaves to defaults is written out. `rows` are those that were trained on; the static section,
    which may not be changed, names the challenge's data set, whatever they are.
    """
    challenge = challenges.get(config.challenge)
    values = config.settled().run_config() | {"train.data-name": rows.name, "train.data-digest": rows.digest}
    values = {key: value for key, value in values.items() if key not in ("model.path", "train.data")}
    name = f"reference-{config.strategy}-{config.challenge}"
    lines = "\n".join(f"{key} = {_toml(value)}" for key, value in values.items())
    versions = {name: version(name).partition("+")[0] for name in ("flwr", "flwr-datasets", "peft", "torch")}
    versions["flwr[simulation]"] = versions.pop("flwr")
    dependencies = ", ".join(_toml(f"{name}=={number}") for name, number in sorted(versions.items()))
    return f"""# A reference baseline of the leaderboard; how it went is in training.json.
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = {_toml(name)}
version = "1.0.0"
description = {_toml(f"{config.strategy} over LoRA on {config.base_model_id}, {challenge.title} challenge")}
license = "Apache-2.0"
dependencies = [{dependencies}]

[tool.flwr.app]
publisher = "reference"

[tool.flwr.app.components]
serverapp = "evaluation.federated.server_app:app"
clientapp = "evaluation.federated.client_app:app"

[tool.flwr.app.config]
{lines}

# The {len(rows.rows)} rows that were trained on are those of train.data-name.
[tool.flwr.app.config.static]
dataset.name = {_toml(challenge.training_sets[0])}

[tool.flwr.federations]
default = "local-simulation"

[tool.flwr.federations.local-simulation]
options.num-supernodes = {config.clients}
"""


def _toml(value: Scalar) -> str:
    """A scalar in TOML, which writes these as JSON does."""
    return json.dumps(value, ensure_ascii=False)
