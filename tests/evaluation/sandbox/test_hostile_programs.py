"""Hostile programs are contained and do not pass; the host and the programs beside them do not notice."""

from __future__ import annotations

import pytest

from evaluation.sandbox import Language, Limits, Outcome, Program, Verdict, run
from tests.evaluation.sandbox import (
    hostile_answers,
    hostile_cpp,
    hostile_javascript,
    hostile_kernel,
    hostile_python,
)
from tests.evaluation.sandbox.conftest import need
from tests.evaluation.sandbox.hostile import Hostile, Site

LIMITS = Limits(
    cpu_seconds=1,
    wall_seconds=5,
    memory_bytes=256 * 1024**2,
    output_bytes=1024**2,
    compile_seconds=5,
    compile_memory_bytes=512 * 1024**2,
)
CORPUS: dict[str, list[Hostile]] = {
    "Python": hostile_python.PROGRAMS,
    "JavaScript": hostile_javascript.PROGRAMS,
    "C++": hostile_cpp.PROGRAMS,
    "to the kernel": hostile_kernel.PROGRAMS,
    "forged answers, Python": hostile_answers.PYTHON,
    "forged answers, JavaScript": hostile_answers.JAVASCRIPT,
    "forged answers, C++": hostile_answers.CPP,
}
HONEST = Program(
    Language.PYTHON,
    "import os\ndef left_over():\n    return os.listdir('/tmp')",
    "assert left_over() == []",
)
# One after every so many hostile programs.
EVERY = 8


def test_the_corpus_is_large() -> None:
    names = [(program.language, program.name) for programs in CORPUS.values() for program in programs]
    assert len(names) == len(set(names)) > 200


@pytest.mark.parametrize("kind", CORPUS)
def test_hostile_programs_harm_nothing(kind: str, site: Site, no_leftovers: None) -> None:
    hostile = CORPUS[kind]
    need(*{attack.language for attack in hostile})
    programs: list[Program] = []
    for index, attack in enumerate(hostile):
        programs.append(attack.program(site))
        if index % EVERY == 0:
            programs.append(HONEST)
    outcomes = dict(run(programs, LIMITS))
    attacks = [outcomes[index] for index, program in enumerate(programs) if program is not HONEST]
    wrong = {
        attack.name: outcome
        for attack, outcome in zip(hostile, attacks, strict=True)
        if not _contained(attack, outcome)
    }
    assert wrong == {}
    honest = [outcomes[index].verdict for index, program in enumerate(programs) if program is HONEST]
    assert honest == [Verdict.PASSED] * len(honest)


def _contained(attack: Hostile, outcome: Outcome) -> bool:
    return not outcome.passed and (not attack.verdicts or outcome.verdict in attack.verdicts)
