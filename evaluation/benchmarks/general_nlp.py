"""MMLU in three groups of subjects (Hendrycks et al. 2021, arXiv 2009.03300).

Ten options of the data read `None`: they are text and stay so.
"""

from __future__ import annotations

from evaluation.benchmarks.definition import Benchmark, HubFiles, one_of, text
from evaluation.benchmarks.multiple_choice import LETTERS, answer_length, letter_question, read_letter
from evaluation.benchmarks.samples import Row


def _subjects(names: str) -> frozenset[str]:
    return frozenset(names.split())


STEM = _subjects(
    "abstract_algebra anatomy astronomy college_biology college_chemistry college_computer_science "
    "college_mathematics college_physics computer_security conceptual_physics electrical_engineering "
    "elementary_mathematics high_school_biology high_school_chemistry high_school_computer_science "
    "high_school_mathematics high_school_physics high_school_statistics machine_learning"
)
SOCIAL_SCIENCES = _subjects(
    "econometrics high_school_geography high_school_government_and_politics high_school_macroeconomics "
    "high_school_microeconomics high_school_psychology human_sexuality professional_psychology "
    "public_relations security_studies sociology us_foreign_policy"
)
HUMANITIES = _subjects(
    "formal_logic high_school_european_history high_school_us_history high_school_world_history "
    "international_law jurisprudence logical_fallacies moral_disputes moral_scenarios philosophy prehistory "
    "professional_law world_religions"
)


def _own_columns(row: Row) -> Row:
    a, b, c, d = row["choices"]
    return {
        "input": row["question"],
        "A": a,
        "B": b,
        "C": c,
        "D": d,
        "target": LETTERS[row["answer"]],
        "subset": row["subject"],
    }


# One file with the test rows of all 57 subjects. lukaemon/mmlu, which the public code names, is a script.
_HUB = HubFiles(
    "cais/mmlu",
    "c30699e8356da336a370243923dbaf21066bb9fe",
    ("all/test-00000-of-00001.parquet",),
    _own_columns,
    order_by="subset",
    licence="MIT",
)


def _group(slug: str, title: str, subjects: frozenset[str], rows: int, digest: str) -> Benchmark:
    return Benchmark(
        slug=slug,
        title=title,
        challenge="general-nlp",
        source=f"cais/mmlu, test, {len(subjects)} of 57 subjects",
        file="mmlu",
        hub=_HUB,
        columns=(*map(text, ("input", *LETTERS)), one_of("target", *LETTERS), text("subset")),
        rows=rows,
        digest=digest,
        labels=LETTERS,
        selects=lambda row: row["subset"] in subjects,
        ask=letter_question(slug, ("input", *LETTERS), lambda row: LETTERS.index(row["target"])),
        decoding=answer_length(LETTERS),
        read=read_letter,
        group_column="subset",
        measures=f"Knowledge of {len(subjects)} subjects, by multiple-choice questions with four options.",
        paper="2009.03300",
        remark="Of the options in all of MMLU, ten read “None”: they are texts and stay so.",
    )


BENCHMARKS = (
    _group(
        "mmlu_stem",
        "MMLU STEM",
        STEM,
        3_153,
        "159049f799de11083c81fb00d637f4c29dabcb6cf66059254f73617b384cffaa",
    ),
    _group(
        "mmlu_social_sciences",
        "MMLU social sciences",
        SOCIAL_SCIENCES,
        3_077,
        "912f875bfc41dea55f6506027af1e24de754e55cad894e8b06f2cfb1ba807923",
    ),
    _group(
        "mmlu_humanities",
        "MMLU humanities",
        HUMANITIES,
        4_705,
        "4c3e8c2da97e1f2fd69dfe833587fab9ee9e5af7e9dc3ef90834b7f75854bfc6",
    ),
)
