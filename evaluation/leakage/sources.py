"""Where rows are found that an adapter cannot have trained on but that are of its training set's sources."""

from __future__ import annotations

from types import MappingProxyType

FEWEST = 20
"""Rows of each kind: with fewer, intervals say nothing."""

SAME_SOURCE = MappingProxyType({"finance": ("fpb", "fiqa", "tfns")})
"""By challenge, the benchmarks whose items come from sources of its training set."""

_OF_NO_OTHER = "no rows of its source are known that an adapter cannot have trained on."

NONE_KNOWN = MappingProxyType(
    {
        "general-nlp": (
            "The training set of General NLP, Alpaca's instructions with GPT-4's answers, is one split with "
            f"nothing held out, and MMLU's questions come from elsewhere: {_OF_NO_OTHER}"
        ),
        "medical": (
            "The training set of Medical, Medical Meadow's flashcards, is one split with nothing held out, "
            f"and the benchmarks' questions come from examinations and abstracts: {_OF_NO_OTHER}"
        ),
        "code": (
            "The training set of Code, CodeAlpaca's generated tasks, is one split with nothing held out, and "
            f"the benchmarks' problems were written by people: {_OF_NO_OTHER}"
        ),
    }
)
"""By every other challenge, why there are none, in a sentence."""
