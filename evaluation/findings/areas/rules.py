"""Finding codes of pyproject.toml against the challenge's rules and the adapter."""

from __future__ import annotations

from evaluation.findings.kinds import ERROR, NOTE, WARNING, Area, FindingKind

AREA = Area(
    "rules",
    "The rules of the challenge",
    about=(
        "Whether the run kept to what all entries of a challenge share, and whether the configuration and "
        "the adapter are of one run. The rules page has the limits."
    ),
    kinds=(
        FindingKind(
            "config.static_missing",
            ERROR,
            "The static section is gone or names no data set",
            explanation=(
                "The section [tool.flwr.app.config.static] names the training set that all entries of a "
                "challenge share. Without it nobody can tell on which data the run was trained."
            ),
            remedy=(
                "Put the template's section back as it was, with the data set that the message names. If "
                "the run was trained on other data, it cannot enter this challenge."
            ),
            example="pyproject.toml",
        ),
        FindingKind(
            "config.static_dataset",
            ERROR + NOTE,
            "The static section names another data set",
            explanation=(
                "All entries of a challenge train on the same data set; only then can methods be compared. "
                "The static section names another one. It is only a note where the name is another name of "
                "the same rows: an earlier template's, or their source's."
            ),
            remedy=(
                "If it is the data set of another challenge, choose that challenge. Otherwise train on the "
                "data set of the challenge; changing the name alone is no remedy."
            ),
            example="pyproject.toml: line 52, tool.flwr.app.config.static.dataset.name",
        ),
        FindingKind(
            "config.static_extra",
            WARNING,
            "The static section holds more than the template's",
            explanation=(
                "The static section is what entries share, and holds the data set alone. Something was "
                "added to it, so that readers may take a choice of yours for a rule."
            ),
            remedy="Move the key to the editable part of [tool.flwr.app.config].",
            example="pyproject.toml: line 53, tool.flwr.app.config.static.num-clients",
        ),
        FindingKind(
            "config.supernodes",
            ERROR,
            "The run has another number of clients",
            explanation=(
                "The training set of a challenge is split over a fixed number of clients (SuperNodes). With "
                "another number each client has other data, and communication and scores are not "
                "comparable."
            ),
            remedy="Train with the number of SuperNodes that the challenge has, and send that run's file.",
            example="pyproject.toml: line 60, tool.flwr.federations.local.options.num-supernodes",
        ),
        FindingKind(
            "config.supernodes_assumed",
            NOTE,
            "The number of clients is not in the file",
            explanation=(
                "Newer versions of Flower keep the number of SuperNodes outside the app, so the file does "
                "not say it. The number that the challenge has is assumed."
            ),
            remedy=(
                "Nothing needs to be done if the run had that many. If not, it breaks the rules of the "
                "challenge."
            ),
            example="pyproject.toml",
        ),
        FindingKind(
            "config.base_model_size",
            ERROR + WARNING,
            "The base model is too large",
            explanation=(
                "The site has a limit on the size of base models. It is an error where the true number of "
                "parameters is over it, and a warning where only the model's name says so, since a name is "
                "rounded."
            ),
            remedy=(
                "Choose a smaller base model. If the name misleads, say so to the reviewer in the "
                "description."
            ),
            example="pyproject.toml",
        ),
        FindingKind(
            "config.missing",
            WARNING,
            "The configuration leaves the method open",
            explanation=(
                "The file does not say the base model, the rounds, the share of clients a round or the "
                "rank. The method card stays incomplete, and the communication of the run cannot be "
                "derived."
            ),
            remedy=(
                "Add what the message names, as the run had it; the settings of flwr run --run-config too."
            ),
            example="pyproject.toml: line 28, tool.flwr.app.config",
        ),
        FindingKind(
            "config.adapter_differs",
            WARNING,
            "The configuration and the adapter disagree",
            explanation=(
                "The app's configuration and the adapter give the same thing, such as rank, alpha or target "
                "modules, different values. They may be of different runs, and then the method card "
                "describes another adapter than the one that is evaluated."
            ),
            remedy=(
                "Send the two that belong together. If flwr run --run-config changed settings, write those "
                "into pyproject.toml."
            ),
            example="adapter_config.json: r",
        ),
    ),
)
