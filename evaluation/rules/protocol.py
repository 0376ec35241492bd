"""Everything that is fixed across entrants, under a number. A published number never changes.

Change a prompt, an extraction rule, a limit or a precision and it becomes a new protocol: scores of
different protocols are never ranked together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from evaluation.names import lookup

Precision = Literal["nf4", "bf16", "fp32"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


@dataclass(frozen=True)
class Sampling:
    """How completions are drawn where more than one is asked for; greedy decoding needs none of it."""

    temperature: float
    top_p: float
    seed: int


@dataclass(frozen=True)
class Protocol:
    """The parameters that the benchmark modules read.

    `instructions` and `program_sequence_tokens` go by benchmark slug, `precisions` by challenge slug; the
    templates use str.format. `program_seconds` is the processor time that a generated program may take with
    its tests, by language. `sampling` is for several completions an item, which are asked for explicitly.
    """

    number: int
    question_template: str
    options_template: str
    instructions: Mapping[str, str]
    sentiment_template: str
    sentiment_sequence_tokens: int
    program_sequence_tokens: Mapping[str, int]
    program_seconds: Mapping[str, int]
    sampling: Sampling
    precisions: Mapping[str, Precision]


_MMLU = "Answer the following multiple choice question."
_ENTRANCE_EXAM = (
    "You are a medical doctor answering realworld medical entrance exam questions. Based on your "
    "understanding of basic and clinical science, medical knowledge, and mechanisms underlying health, "
    "disease, patient care, and modes of therapy, answer the following multiple-choice question. Select "
    "one correct answer from A to D. Base your answer on the current and standard practices referenced in "
    "medical guidelines."
)
_LICENSING_EXAM = (
    "You are a medical doctor taking the US Medical Licensing Examination. You need to demonstrate your "
    "understanding of basic and clinical science, medical knowledge, and mechanisms underlying health, "
    "disease, patient care, and modes of therapy. Show your ability to apply the knowledge essential for "
    "medical practice. For the following multiple-choice question, select one correct answer from A to E. "
    "Base your answer on the current and standard practices referenced in medical guidelines."
)
_ABSTRACT = (
    "As an expert doctor in clinical science and medical knowledge, can you tell me if the following "
    "statement is correct? Answer yes, no, or maybe."
)

_FIRST = Protocol(
    number=1,
    question_template=(
        "<|im_start|>question\n{instruction}\n{question}\nThe answer is:\n<|im_end|>\n<|im_start|>answer\n"
    ),
    options_template="Question: {question}\n\nOptions:\nA. {a}\nB. {b}\nC. {c}\nD. {d}",
    instructions=MappingProxyType(
        {
            "mmlu_stem": _MMLU,
            "mmlu_social_sciences": _MMLU,
            "mmlu_humanities": _MMLU,
            "pubmedqa": _ABSTRACT,
            "medmcqa": _ENTRANCE_EXAM,
            "medqa": _LICENSING_EXAM,
            "careqa": _ENTRANCE_EXAM,
        }
    ),
    sentiment_template=(
        "Instruction: What is the sentiment of this {kind}? Please choose an answer from "
        "{{negative/neutral/positive}}.\nInput: {sentence}\nAnswer: "
    ),
    sentiment_sequence_tokens=512,
    program_sequence_tokens=MappingProxyType(
        {"mbpp": 2_048, "humaneval": 1_024, "multipl_e_js": 1_024, "multipl_e_cpp": 1_024}
    ),
    # The public code stops Python programs after 3 seconds, which one of MBPP's own solutions needs.
    program_seconds=MappingProxyType({"python": 10, "javascript": 15, "cpp": 15}),
    sampling=Sampling(temperature=0.2, top_p=0.95, seed=0),
    precisions=MappingProxyType({"general-nlp": "nf4", "finance": "nf4", "medical": "nf4", "code": "fp32"}),
)

PROTOCOLS: Mapping[int, Protocol] = MappingProxyType({_FIRST.number: _FIRST})
CURRENT = _FIRST


def get(number: int) -> Protocol:
    """Return the protocol; raise UnknownNameError when there is none of that number."""
    return lookup("protocol", str(number), {str(n): protocol for n, protocol in PROTOCOLS.items()})
