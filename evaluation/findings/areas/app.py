"""Finding codes of a Flower app's folder."""

from __future__ import annotations

from evaluation.findings.kinds import NOTE, WARNING, Area, FindingKind

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
            NOTE,
            "There is no pyproject.toml",
            explanation=(
                "The folder has an adapter but no pyproject.toml, so only the adapter was checked. A "
                "submission needs both, so that where it is to be submitted this is submission.missing_file."
            ),
            remedy=(
                "Give the folder of the Flower app, which holds the file, or put the pyproject.toml of the "
                "run beside the adapter."
            ),
        ),
        FindingKind(
            "app.no_checkpoint",
            WARNING,
            "There is no adapter yet",
            explanation=(
                "No folder below the app holds adapter_model.safetensors. The configuration was checked; "
                "the adapter could not be. Where it is to be submitted, this is submission.missing_file."
            ),
            remedy="Train first. If the results lie elsewhere, give the adapter's folder itself.",
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
            "app.several_logs",
            WARNING + NOTE,
            "There are several communication logs",
            explanation=(
                "More than one communication log lies beside the checkpoint. It is a note where one of them "
                "fits the rounds of the run, by its name, its lines or its total: that one is taken. It is "
                "a warning where none or more than one fits: then none is taken."
            ),
            remedy="Give the log of this run with --log FILE, or move the others away.",
            example="comm_cost_r100.txt",
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
