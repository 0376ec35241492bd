"""Everything that is fixed across entrants, under a number. A published number never changes.

Change a prompt, an extraction rule, a limit, a precision or a challenge's list of benchmarks and it becomes a
new protocol: scores of different protocols are never ranked together, and no row leaves an older board.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from evaluation.names import lookup

Precision = Literal["nf4", "bf16", "fp16", "fp32"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


@dataclass(frozen=True)
class Sampling:
    """How completions are drawn where more than one is asked for; greedy decoding needs none of it."""

    temperature: float
    top_p: float
    seed: int


@dataclass(frozen=True)
class Protocol:
    """What each challenge is evaluated on, and the parameters that the benchmark modules read.

    `benchmarks` are, by challenge slug, those whose plain mean is the score, in the board's order.
    `instructions` and `program_sequence_tokens` go by benchmark slug, `precisions` by challenge slug; the
    templates use str.format. `program_seconds` is the processor time that a generated program may take with
    its tests, by language. `sampling` is for several completions an item, which are asked for explicitly.
    """

    number: int
    benchmarks: Mapping[str, tuple[str, ...]]
    question_template: str
    options_template: str
    instructions: Mapping[str, str]
    sentiment_template: str
    sentiment_sequence_tokens: int
    program_sequence_tokens: Mapping[str, int]
    program_seconds: Mapping[str, int]
    sampling: Sampling
    precisions: Mapping[str, Precision]

    def has(self, benchmark: str) -> bool:
        """Whether some challenge is evaluated on it."""
        return any(benchmark in own for own in self.benchmarks.values())


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
    benchmarks=MappingProxyType(
        {
            "general-nlp": ("mmlu_stem", "mmlu_social_sciences", "mmlu_humanities"),
            "finance": ("fpb", "fiqa", "tfns"),
            "medical": ("pubmedqa", "medmcqa", "medqa", "careqa"),
            "code": ("mbpp", "humaneval", "multipl_e_js", "multipl_e_cpp"),
        }
    ),
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

_KNOWN: dict[int, Protocol] = {protocol.number: protocol for protocol in (_FIRST,)}
PROTOCOLS: Mapping[int, Protocol] = MappingProxyType(_KNOWN)
CURRENT = _FIRST
"""Where nobody names one: on the command line, and on a site whose operator chose none."""
PUBLIC = _FIRST
"""The procedure of the public board: scores that are taken over from there belong to this protocol."""


def get(number: int) -> Protocol:
    """Return the protocol; raise UnknownNameError when there is none of that number."""
    return lookup("protocol", str(number), {str(n): protocol for n, protocol in PROTOCOLS.items()})


def asking(benchmark: str, preferred: Protocol = CURRENT) -> Protocol | None:
    """The protocol to ask a benchmark by: the preferred one if it has it, else the newest that has."""
    newest_first = sorted(PROTOCOLS.values(), key=lambda known: known.number, reverse=True)
    return next((known for known in (preferred, *newest_first) if known.has(benchmark)), None)
