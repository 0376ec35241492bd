"""Finding codes of a Flower app's folder."""

from __future__ import annotations

from evaluation.findings.kinds import ERROR, NOTE, WARNING, Area, FindingKind

AREA = Area(
    "app",
    "A Flower app's folder",
    about=(
        "What the command lines find in a folder: the app, its checkpoints and its log. The site itself "
        "gets files and no folder."
    ),
    kinds=(
        FindingKind(
            "app.no_config",
            ERROR + NOTE,
            "There is no pyproject.toml",
            explanation=(
                "The folder has an adapter but no pyproject.toml, so only the adapter was checked. It is a "
                "note where the folder is only looked at, and an error where it is to be submitted, since a "
                "submission needs both."
            ),
            remedy=(
                "Give the folder of the Flower app, which holds the file, or put the pyproject.toml of the "
                "run beside the adapter."
            ),
        ),
        FindingKind(
            "app.no_checkpoint",
            ERROR + WARNING,
            "There is no adapter yet",
            explanation=(
                "No folder below the app holds adapter_model.safetensors. The configuration was checked; "
                "the adapter could not be. It is a warning where the folder is only looked at, and an error "
                "where it is to be submitted."
            ),
            remedy="Train first. If the results lie elsewhere, give the adapter's folder itself.",
        ),
        FindingKind(
            "app.missing_file",
            ERROR,
            "The checkpoint lacks one of its two files",
            explanation=(
                "A checkpoint is adapter_model.safetensors and adapter_config.json together, as "
                "save_pretrained writes them. One of them is not there. A pickle (adapter_model.bin) is "
                "never opened."
            ),
            remedy="Save the adapter with save_pretrained(…, safe_serialization=True) and send that folder.",
            example="results/peft_8/adapter_config.json",
        ),
        FindingKind(
            "app.several_runs",
            NOTE,
            "There are checkpoints of several runs",
            explanation=(
                "The folder has checkpoints of more than one run. The last one of the last run is taken, "
                "and the message names it."
            ),
            remedy="If another is meant, give its folder instead of the app's.",
            example="results/2026-03-01_10-00-00/peft_200",
        ),
        FindingKind(
            "app.too_many_folders",
            WARNING,
            "There are too many folders to search",
            explanation=(
                "The app's folder has so many folders below it that not all were searched for checkpoints. "
                "The one that is meant may have been missed."
            ),
            remedy="Give the adapter's folder itself.",
        ),
        FindingKind(
            "app.round",
            WARNING,
            "The last checkpoint is not of the last round",
            explanation=(
                "What is evaluated is the last checkpoint of the run. The highest checkpoint is of another "
                "round than the number of rounds in the configuration: the run ended early, or the two are "
                "of different runs."
            ),
            remedy=(
                "Send the checkpoint of the last round, or the configuration of the run that made this one."
            ),
            example="results/peft_180",
        ),
    ),
)
