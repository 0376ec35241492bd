"""Equal wrong answers count only beyond what others who erred on the same items have in common."""

from __future__ import annotations

import json

import numpy
import pytest

from evaluation.resemblance.results import SharedMistakes
from evaluation.resemblance.wrong_answers import FEWEST_OTHERS, Chance, Codes, codes

ITEMS = 1_000
_FAVOURED = numpy.random.default_rng(0).integers(1, 4, ITEMS)


def entry(seed: int, *, copied: Codes | None = None, share: float = 1.0) -> Codes:
    """Answers of which 40% are wrong, half of these the ones that tempt everybody; `share` of them copied."""
    rng = numpy.random.default_rng(seed)
    answers = numpy.where(rng.random(ITEMS) < 0.5, _FAVOURED, rng.integers(1, 4, ITEMS)).astype(numpy.uint16)
    answers[rng.random(ITEMS) < 0.6] = 0
    return answers if copied is None else numpy.where(rng.random(ITEMS) < share, copied, answers)


def judged(own: Codes, others: list[Codes]) -> list[SharedMistakes]:
    chance = Chance(own)
    for other in others:
        chance.add(other)
    return chance.judged([chance.agreement(other) for other in others])


def test_copied_mistakes_stand_out_and_tempting_ones_do_not() -> None:
    own = entry(1)
    found = judged(own, [*(entry(seed) for seed in range(100, 140)), entry(2, copied=own, share=0.7)])
    *honest, copy = found
    assert copy.p is not None and copy.p < 1e-6
    assert copy.expected is not None and copy.equal > copy.expected + 50
    assert all(each.p is not None and each.p > 0.05 for each in honest)
    assert sum(each.equal for each in honest) > 0.4 * sum(each.both_wrong for each in honest)


def test_entries_that_all_err_alike_are_what_chance_is() -> None:
    """Forty trained alike: any two share more mistakes than the items alone would make them share."""
    root = entry(3)
    found = judged(
        entry(4, copied=root, share=0.5), [entry(s, copied=root, share=0.5) for s in range(200, 240)]
    )
    assert all(each.p is not None and each.p > 0.01 for each in found)


def test_with_few_others_nothing_is_said_of_chance() -> None:
    own = entry(5)
    found = judged(own, [entry(6, copied=own)] * FEWEST_OTHERS)
    assert [each.p for each in found] == [None] * FEWEST_OTHERS
    assert found[0].equal == found[0].both_wrong


def test_what_is_right_unscored_or_a_later_attempt_is_no_wrong_answer() -> None:
    items = [
        {"prediction": "b", "correct": False},
        {"prediction": "a", "correct": True},
        {"prediction": None, "correct": None},
        {"prediction": "b ", "correct": False},
        {"prediction": "c", "correct": False, "attempt": 1},
    ]
    found = codes((json.dumps(item).encode() for item in items), is_program=False)
    assert found[0] == found[3] != 0
    assert found.tolist()[1:3] == [0, 0] and len(found) == 4


def test_programs_are_compared_as_they_were_written() -> None:
    items = [
        {"prediction": "failed", "completion": text, "correct": False} for text in ("x = 1", "x = 2", "x = 1")
    ]
    one, other, again = codes((json.dumps(item).encode() for item in items), is_program=True)
    assert one == again != other


def test_a_damaged_line_is_refused() -> None:
    with pytest.raises(ValueError):
        codes([b'{"correct": fal'], is_program=False)
