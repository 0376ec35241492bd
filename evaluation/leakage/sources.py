"""Where rows are found that an adapter cannot have trained on but that are of its training set's sources."""

from __future__ import annotations

from types import MappingProxyType

FEWEST = 20
"""Rows of each kind: with fewer, intervals say nothing."""

SAME_SOURCE = MappingProxyType({"finance": ("fpb", "fiqa", "tfns")})
"""By challenge, the benchmarks whose items come from sources of its training set."""

_ALL = "is one split without held-out rows"

NONE_KNOWN = MappingProxyType(
    {
        "general-nlp": (
            f"The training set of General NLP (Alpaca's instructions with GPT-4's answers) {_ALL}, and MMLU's "
            "questions come from elsewhere: no rows of its source are known that an adapter cannot have "
            "trained on."
        ),
        "medical": (
            f"The training set of Medical (Medical Meadow's flashcards) {_ALL}, and the benchmarks' questions "
            "come from examinations and abstracts: no rows of its source are known that an adapter cannot "
            "have trained on."
        ),
        "code": (
            f"The training set of Code (CodeAlpaca's generated tasks) {_ALL}, and the benchmarks' problems "
            "were written by people: no rows of its source are known that an adapter cannot have trained on."
        ),
    }
)
"""By every other challenge, why there are none, in a sentence."""
