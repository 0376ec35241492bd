"""Finding codes of communication, and figures that are declared."""

from __future__ import annotations

from evaluation.findings.kinds import ERROR, NOTE, WARNING, Area, FindingKind

AREA = Area(
    "communication",
    "Communication and declared figures",
    about=(
        "The communication that a run declares, logs or must have had, against the budget of the challenge; "
        "and scores that are declared."
    ),
    kinds=(
        FindingKind(
            "communication.budget",
            ERROR,
            "The run communicates more than the budget",
            explanation=(
                "A challenge has a budget for all messages of a run together, both directions, adapter "
                "tensors only. What follows from the configuration and the adapter, or what was declared or "
                "logged, is over it."
            ),
            remedy=(
                "Train with fewer rounds, fewer clients a round, a lower rank or fewer target modules. If "
                "the figure is wrong, mend the declared amount or the configuration that it follows from."
            ),
            example="pyproject.toml",
        ),
        FindingKind(
            "communication.differs",
            WARNING,
            "The declared communication is not the derived one",
            explanation=(
                "What follows from the configuration and the adapter (parameters × 4 bytes × clients a "
                "round × rounds × both directions) is clearly another figure than the declared one. The "
                "page shows both."
            ),
            remedy=(
                "The message names the usual mistake where it fits: one direction only, or GB of 10⁹ "
                "instead of 1024³ bytes. If less or more was really sent, by compression for instance, say "
                "so in the description."
            ),
            example="communication, declared",
        ),
        FindingKind(
            "communication.value",
            ERROR,
            "The declared communication is no amount",
            explanation=(
                "The declared figure is negative, infinite or no number, so nothing can be compared with it."
            ),
            remedy=(
                "Give the amount of the whole run in bytes, or leave it out: it is derived from the "
                "configuration."
            ),
            example="communication, declared",
        ),
        FindingKind(
            "communication.log",
            ERROR,
            "The communication log cannot be understood",
            explanation=(
                "The file has neither the lines that FlowerTune's apps write (\"Communication budget: used … "
                'MB") nor one single amount. So nothing can be read from it.'
            ),
            remedy=(
                "Give the app's comm_cost.txt or the output of the run as it is, or a note of the one "
                "total, such as 703 MB."
            ),
            example="comm_cost.txt",
        ),
        FindingKind(
            "communication.log_value",
            ERROR,
            "A line of the log has no number",
            explanation=(
                "A line of the communication log has something else where its amount should be, so the "
                "total cannot be trusted."
            ),
            remedy="Remove the line or repair it, best by giving the log as the app wrote it.",
            example="comm_cost.txt: line 14",
        ),
        FindingKind(
            "communication.log_too_large",
            ERROR,
            "The communication log is too large",
            explanation="The log is longer than any run's communication lines.",
            remedy='Keep only its lines with "Communication budget" or "Communication cost".',
            example="comm_cost.txt",
        ),
        FindingKind(
            "communication.log_gaps",
            NOTE,
            "Lines are missing from the log",
            explanation=(
                "The counter of a line does not follow from the line before it and what was added, so lines "
                "between them are missing. The counter of the last line is taken as the total."
            ),
            remedy="Nothing needs to be done if the last line is that of the end of the run.",
            example="comm_cost.txt: line 22",
        ),
        FindingKind(
            "communication.log_restarted",
            WARNING,
            "The log holds several runs",
            explanation=(
                "The counter starts anew within the log, so the file holds several runs, or one run that "
                "was started again. Only the last is counted."
            ),
            remedy=(
                "If the last run went on where the one before it stopped, declare the sum of both. "
                "Otherwise keep the lines of the run that made the adapter."
            ),
            example="comm_cost.txt: line 41",
        ),
        FindingKind(
            "declared.impossible_score",
            WARNING,
            "No number of right answers gives this score",
            explanation=(
                "A benchmark has a fixed number of items, so only certain percentages can be scores. No "
                "number of right answers gives the declared one, neither rounded nor truncated to the "
                "decimals that are written."
            ),
            remedy=(
                "Check that it is the score on the whole benchmark, on this benchmark, and with the "
                "decimals of your report: 27.5 and 27.50 are different claims. Declared scores are never "
                "ranked, and you may leave them out."
            ),
            example="fpb",
        ),
    ),
)
