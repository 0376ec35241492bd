"""A stop string ends an answer with the token that completes it, which most tokens rule out undecoded."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")
pytest.importorskip("transformers")

from evaluation.engines.batches import Prompt
from evaluation.engines.decoding import Ending

PIECES = ["<end>", "\n", "class", "\ncl", "a", "ss", " ", "(", ")", "print", "\nprint(x", "é", "é("]
STOPS = ("\nclass", "\nprint(", "é", ") ")


def text(tokens: Sequence[int]) -> str:
    """As tokenizers have it that take the space off the beginning."""
    return "".join(PIECES[token] for token in tokens).removeprefix(" ")


@given(st.lists(st.integers(1, len(PIECES) - 1), min_size=1, max_size=20))
def test_an_answer_ends_where_its_text_first_holds_a_stop(tokens: list[int]) -> None:
    ending = Ending(frozenset([0]), STOPS, text)
    for end in range(1, len(tokens) + 1):
        row = Prompt("x", tuple(tokens[:end]), budget=5, generated=end)
        reached = ending.reached(row)
        assert reached == any(stop in text(tokens[:end]) for stop in STOPS)
        if reached:
            break


def test_tokens_that_complete_no_stop_are_decoded_once() -> None:
    decoded: list[int] = []

    def counted(tokens: Sequence[int]) -> str:
        decoded.append(len(tokens))
        return text(tokens)

    ending = Ending(frozenset([0]), ("\nclass", "\nprint("), counted)
    for generated in range(1, 40):
        assert not ending.reached(Prompt("x", (4,) * generated, budget=5, generated=generated))
    assert decoded == [1]
