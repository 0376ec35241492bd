"""Which fields of a baseline run's form stand together, and under what title."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Group:
    """Fields that stand together under a title; `more` ones are folded away."""

    title: str
    names: tuple[str, ...]
    more: bool = False


GROUPS = (
    Group("The run", ("challenge", "base_model", "strategy", "method")),
    Group("Federation", ("clients", "clients_per_round", "rounds", "minimum_clients")),
    Group(
        "Local training",
        (
            "local_steps",
            "batch_size",
            "sequence_length",
            "schedule",
            "learning_rate",
            "learning_rate_min",
        ),
    ),
    Group("Adapter", ("adapter", "rank", "alpha", "dropout", "target_modules", "precision")),
    Group(
        "Form of the rows",
        ("template", "instruction_columns", "learn_end_token", "draw_anew", "group_by_length"),
        more=True,
    ),
    Group(
        "Partition of the rows",
        ("partition_kind", "partition_alpha", "partition_column", "partition_labels"),
        more=True,
    ),
    Group(
        "Clients that differ",
        (
            "devices_ranks",
            "devices_steps",
            "devices_speeds",
            "devices_deadline",
            "devices_drop_out",
            "devices_poisoned",
        ),
        more=True,
    ),
    Group("What clients send", ("compression", "top_k"), more=True),
    Group("Loss on held-out rows", ("held_out", "own_held_out", "evaluate_every"), more=True),
    Group("Scores on the way", ("keep_every",), more=True),
    Group(
        "Differential privacy",
        (
            "canaries",
            "private",
            "privacy_clipping",
            "privacy_clipping_norm",
            "privacy_noise_multiplier",
            "privacy_delta",
            "privacy_target_quantile",
            "privacy_quantile_rate",
        ),
        more=True,
    ),
    Group("Reproducing it", ("seed", "threads"), more=True),
)
