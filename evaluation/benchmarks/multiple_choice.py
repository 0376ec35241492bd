"""The question format that MMLU and the medical benchmarks share, and how its answers are read.

Follows the public FlowerTune evaluation code, which took it from Meditron (arXiv 2311.16079).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from evaluation.benchmarks.definition import CountTokens, Question
from evaluation.benchmarks.samples import Decoding, Row
from evaluation.rules.protocol import Protocol

LETTERS = ("A", "B", "C", "D")
# One instruction speaks of A to E: E is read as an answer, though it is never right.
_READABLE = frozenset("abcde")
_DOUBLED = {"yesyes": "yes", "nono": "no", "yesno": "yes", "noyes": "no"}


def question_prompt(instruction: str, question: str, options: Sequence[str], protocol: Protocol) -> str:
    """The prompt of one question with four options."""
    if not question.endswith(("?", ".")):
        question += "?"
    a, b, c, d = options
    block = protocol.options_template.format(question=question, a=a, b=b, c=c, d=d)
    return protocol.question_template.format(instruction=instruction, question=block)


def abstract_prompt(instruction: str, contexts: Sequence[str], question: str, protocol: Protocol) -> str:
    """The prompt of one question about the parts of an abstract, to be answered yes, no or maybe."""
    block = "\n".join([*contexts, question])
    return protocol.question_template.format(instruction=instruction, question=block)


def letter_question(
    slug: str, columns: tuple[str, str, str, str, str], target: Callable[[Row], int]
) -> Callable[[Row, Protocol], Question]:
    """How a row with a question and four option columns is asked; `target` gives the right position, 0-3."""

    def ask(row: Row, protocol: Protocol) -> Question:
        question, *options = (row[column] for column in columns)
        prompt = question_prompt(protocol.instructions[slug], question, options, protocol)
        return Question(prompt, LETTERS[target(row)].lower())

    return ask


def answer_length(labels: Sequence[str]) -> Callable[[Protocol, CountTokens], Decoding]:
    """As many tokens as the longest label takes: the same for every item, whatever its answer."""

    def decoding(_protocol: Protocol, count_tokens: CountTokens) -> Decoding:
        return Decoding(max_new_tokens=max(count_tokens(label) for label in labels))

    return decoding


def clean(text: str) -> str:
    """Lower-case ASCII letters and digits, single spaces; only what follows a line's `##` if there is one."""
    before, heading, after = text.lower().partition("\n##")
    kept = re.sub(r"[\W_]+", " ", after if heading else before)
    return " ".join(kept.encode("ascii", "ignore").decode("ascii").split())


def read_letter(text: str) -> str:
    """The first character of the cleaned text if it is a letter of an option, else its first word as read."""
    cleaned = clean(text)
    if cleaned[:1] in _READABLE:
        return cleaned[:1]
    return cleaned.partition(" ")[0]


def read_word(text: str) -> str:
    """The first word of the cleaned text, with doubled answers taken as their first one."""
    word = clean(text).partition(" ")[0]
    return _DOUBLED.get(word, word)
