"""Medical questions: PubMedQA (arXiv 1909.06146), MedMCQA (arXiv 2203.14371), MedQA (arXiv 2009.13081)
and CareQA (arXiv 2502.06666).
"""

from __future__ import annotations

from evaluation.benchmarks.definition import Benchmark, Column, HubFiles, Question, one_of, text, texts
from evaluation.benchmarks.multiple_choice import (
    LETTERS,
    abstract_prompt,
    answer_length,
    letter_question,
    question_prompt,
    read_letter,
    read_word,
)
from evaluation.benchmarks.samples import Row
from evaluation.errors import DataError
from evaluation.rules.protocol import Protocol

DECISIONS = ("yes", "no", "maybe")


def _ask_pubmedqa(row: Row, protocol: Protocol) -> Question:
    instruction = protocol.instructions["pubmedqa"]
    prompt = abstract_prompt(instruction, row["CONTEXTS"], row["QUESTION"], protocol)
    return Question(prompt, row["final_decision"])


def _ask_medqa(row: Row, protocol: Protocol) -> Question:
    values = [option["value"] for option in row["options"]]
    if row["answer"] not in values:
        raise DataError(f"the answer {row['answer']!r} is none of the options")
    prompt = question_prompt(protocol.instructions["medqa"], row["question"], values, protocol)
    return Question(prompt, LETTERS[values.index(row["answer"])].lower())


def _four_options(value: object) -> bool:
    return (
        isinstance(value, list)
        and all(isinstance(option, dict) and isinstance(option.get("value"), str) for option in value)
        and tuple(option.get("key") for option in value) == LETTERS
    )


_PUBMEDQA = Benchmark(
    slug="pubmedqa",
    title="PubMedQA",
    challenge="medical",
    source="bigbio/pubmed_qa, pubmed_qa_labeled_fold0_source, test",
    file="pubmedqa",
    # The data set is a script on the hub; this is what the hub converted it to. It lacks PUBMED_ID.
    hub=HubFiles(
        "bigbio/pubmed_qa",
        "13a7d15476092370cbabb6475390e7e69b74d2f2",
        ("pubmed_qa_labeled_fold0_source/test/0000.parquet",),
        licence="MIT",
    ),
    columns=(text("QUESTION"), texts("CONTEXTS"), one_of("final_decision", *DECISIONS)),
    rows=500,
    digest="61bc81e7e2b4f016c34442e0a2ef0ddd9c71137e88e1f273b1382aed1c3080d2",
    labels=DECISIONS,
    ask=_ask_pubmedqa,
    decoding=answer_length(DECISIONS),
    read=read_word,
    id_column="PUBMED_ID",
    measures="Whether an abstract without its conclusion answers a research question by yes, no or maybe.",
    paper="1909.06146",
)
_MEDMCQA = Benchmark(
    slug="medmcqa",
    title="MedMCQA",
    challenge="medical",
    source="openlifescienceai/medmcqa, validation",
    file="medmcqa",
    hub=HubFiles(
        "openlifescienceai/medmcqa",
        "91c6572c454088bf71b679ad90aa8dffcd0d5868",
        ("data/validation-00000-of-00001.parquet",),
        licence="Apache 2.0",
    ),
    columns=(*map(text, ("question", "opa", "opb", "opc", "opd")), one_of("cop", 0, 1, 2, 3)),
    rows=4_183,
    digest="63517c4b133fdcfd9e868bed9310e11257ba332bf9290304393d27503ece5d3f",
    labels=LETTERS,
    ask=letter_question("medmcqa", ("question", "opa", "opb", "opc", "opd"), lambda row: int(row["cop"])),
    decoding=answer_length(LETTERS),
    read=read_letter,
    id_column="id",
    measures="Questions of Indian medical entrance examinations, multiple choice with four options.",
    paper="2203.14371",
)
_MEDQA = Benchmark(
    slug="medqa",
    title="MedQA",
    challenge="medical",
    source="bigbio/med_qa, med_qa_en_4options_source, test",
    file="medqa",
    hub=HubFiles(
        "bigbio/med_qa",
        "484a6c066fe8e75c83edea0c88b5169316714fcd",
        ("med_qa_en_4options_source/test-00000-of-00001.parquet",),
    ),
    columns=(text("question"), Column("options", _four_options, "four options A to D"), text("answer")),
    rows=1_273,
    digest="a8bdea08c7b6b5fbed7424e0f48ee72ef1c481cc26c5cde967cdead25d7eaa0a",
    labels=LETTERS,
    ask=_ask_medqa,
    decoding=answer_length(LETTERS),
    read=read_letter,
    measures="Questions in the style of the United States medical licensing examination, with four options.",
    paper="2009.13081",
)
_CAREQA = Benchmark(
    slug="careqa",
    title="CareQA",
    challenge="medical",
    source="HPAI-BSC/CareQA, CareQA_en, test",
    file="careqa",
    hub=HubFiles(
        "HPAI-BSC/CareQA",
        "1d976cc544ccb9dfc96e14439e6840e8a810cec5",
        ("CareQA_en.json",),
        licence="Apache 2.0",
    ),
    columns=(*map(text, ("question", "op1", "op2", "op3", "op4")), one_of("cop", 1, 2, 3, 4)),
    rows=5_621,
    # Registered at first sight: its rows have not been seen by this project.
    digest=None,
    labels=LETTERS,
    ask=letter_question("careqa", ("question", "op1", "op2", "op3", "op4"), lambda row: int(row["cop"]) - 1),
    decoding=answer_length(LETTERS),
    read=read_letter,
    stand_in="careqa_proxy",
    measures="Questions of the Spanish examinations for specialised healthcare training, in English, with "
    "four options.",
    paper="2502.06666",
)

BENCHMARKS = (_PUBMEDQA, _MEDMCQA, _MEDQA, _CAREQA)
