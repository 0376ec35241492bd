"""Finding codes of what Flower recorded of the run, and of the app's bundle."""

from __future__ import annotations

from evaluation.findings.kinds import ERROR, WARNING, Area, FindingKind

AREA = Area(
    "flower-run",
    "The run's record by Flower",
    about=(
        "The run as `flwr list --run-id ID --format json` writes it, which may be sent as evidence, and the "
        "app's bundle (.fab) beside it."
    ),
    kinds=(
        FindingKind(
            "flower_run.unreadable",
            ERROR,
            "The run's record cannot be read",
            explanation="The file is not the JSON document with a list of runs that flwr list writes.",
            remedy="Send the output of `flwr list --run-id ID --format json` as it is, or leave it out.",
            example="flower_run.json",
        ),
        FindingKind(
            "flower_run.several",
            WARNING,
            "The record holds several runs",
            explanation=(
                "Of several runs the one that completed is taken. Here none did, or more than one, so nobody "
                "can tell which made the adapter."
            ),
            remedy="Name the run: `flwr list --run-id ID --format json`.",
            example="flower_run.json",
        ),
        FindingKind(
            "flower_run.not_completed",
            WARNING,
            "The recorded run did not complete",
            explanation=(
                "The run was going on, failed or was stopped when the record was written, so traffic and "
                "compute time may be less than those of the training."
            ),
            remedy="Write the record when the run has finished, and send that one.",
            example="flower_run.json",
        ),
        FindingKind(
            "flower_run.signatures",
            WARNING,
            "A signature of the bundle cannot be read",
            explanation=(
                "Under verifications a record may have the signatures that Flower Hub gave with the bundle, "
                "by the id of a key an object with signature (Ed25519 in base64url) and signed_at (seconds)."
            ),
            remedy=("Give the column verifications of the SuperLink's table fab as it is, or leave it out."),
            example="flower_run.json",
        ),
        FindingKind(
            "flower_run.other_bundle",
            WARNING,
            "The bundle is not that of the run",
            explanation=(
                "The record names the SHA-256 of the bundle that was run, and no .fab file here has it. The "
                "app may have been built anew since."
            ),
            remedy="Give the bundle that was run, or move the other away.",
            example="example.app.1-0-0.1a2b3c4d.fab",
        ),
        FindingKind(
            "flower_run.other_config",
            WARNING,
            "The bundle is configured differently",
            explanation=(
                "The app's settings in the bundle's pyproject.toml are not those of the one that is to be "
                "submitted."
            ),
            remedy=(
                "Nothing, if the run was started with --run-config and the pyproject.toml says what was run. "
                "Otherwise send the configuration of the run."
            ),
            example="example.app.1-0-0.1a2b3c4d.fab",
        ),
    ),
)
