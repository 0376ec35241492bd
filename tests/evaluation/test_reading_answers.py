"""How a completion becomes a prediction."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evaluation import benchmarks
from evaluation.benchmarks.finance import read_sentiment
from evaluation.benchmarks.multiple_choice import clean, read_letter, read_word
from evaluation.rules import protocol


@pytest.mark.parametrize(
    ("text", "prediction"),
    [
        ("A", "a"),
        (" (B) because", "b"),
        ("**C**", "c"),
        ("é D", "d"),
        ("E", "e"),
        ("Both", "b"),  # the rule reads the first character, whatever word it begins
        ("some words\n## A", "a"),
        ("The", "the"),
        ("1. A", "1"),
        ("", ""),
        ("\n\n", ""),
        ("B\n##", ""),
    ],
)
def test_a_letter_is_the_first_character(text: str, prediction: str) -> None:
    assert read_letter(text) == prediction


@pytest.mark.parametrize(
    ("text", "prediction"),
    [
        ("Yes", "yes"),
        ("no, because", "no"),
        ("Maybe.", "maybe"),
        ("yesyes", "yes"),
        ("nono", "no"),
        ("yesno", "yes"),
        ("noyes", "no"),
        ("yesterday", "yesterday"),
        ("The study", "the"),
        ("", ""),
    ],
)
def test_a_word_is_the_first_one(text: str, prediction: str) -> None:
    assert read_word(text) == prediction


@pytest.mark.parametrize(
    ("text", "prediction"),
    [
        ("positive", "positive"),
        ("Negative", "negative"),
        ("neither negative nor positive", "positive"),
        ("NEGATIVE", "neutral"),  # only these two spellings count
        ("neutral", "neutral"),
        ("", "neutral"),
        ("negative\nInput: x\nAnswer: positive", "negative"),
        ("neutral Answer: positive", "neutral"),
        ("negative\nAnswer:\npositive", "positive"),  # without its blank it is no new answer
    ],
)
def test_a_sentiment_is_what_the_answer_names(text: str, prediction: str) -> None:
    assert read_sentiment(text) == prediction


@given(st.text())
@example("\n##")
@example("İ")
def test_cleaned_text_is_lower_case_words(text: str) -> None:
    cleaned = clean(text)
    assert cleaned == " ".join(cleaned.split())
    assert all(c.isascii() and (c.isdigit() or c.islower() or c == " ") for c in cleaned)


@given(st.text())
def test_every_text_is_read_in_some_way(text: str) -> None:
    for benchmark in benchmarks.BENCHMARKS.values():
        assert isinstance(benchmark.read(text), str)


@given(st.text(alphabet="posNnegativeAnswer: \n", max_size=40), st.text(max_size=20))
def test_nothing_after_a_stop_changes_a_sentiment(before: str, after: str) -> None:
    stops = benchmarks.get("fpb").decoding(protocol.CURRENT, len).stop
    for stop in stops:
        assert read_sentiment(before + stop + after) == read_sentiment(before + stop)


@pytest.mark.parametrize("slug", list(benchmarks.BENCHMARKS))
def test_every_label_is_read_as_itself(slug: str) -> None:
    benchmark = benchmarks.get(slug)
    assert [benchmark.read(label) for label in benchmark.labels] == [
        label.lower() for label in benchmark.labels
    ]


def test_the_answer_length_is_that_of_the_longest_label() -> None:
    assert benchmarks.get("pubmedqa").decoding(protocol.CURRENT, len).max_new_tokens == len("maybe")
    assert benchmarks.get("medqa").decoding(protocol.CURRENT, len).max_new_tokens == 1
