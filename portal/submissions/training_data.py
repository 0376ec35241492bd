"""What is stated of the data that an adapter was trained on: by its team, or by this site of its own runs."""

from __future__ import annotations

TRAINING_SET_ALONE = "The challenge's training set alone, as the configuration names it."
"""What a team says that says no more."""

MAX_LENGTH = 1000

BY_THE_SITE = "Trained by this site on the challenge's training set alone, as the configuration names it."
UNTUNED = "None: the base model as it is."
