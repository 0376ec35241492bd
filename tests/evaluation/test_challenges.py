"""The challenges, and finding things by name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from evaluation import benchmarks, engines, rules
from evaluation.errors import UnknownNameError
from evaluation.rules import challenges, protocol
from evaluation.rules.challenges import CHALLENGES


def test_the_board_has_four_challenges_whose_benchmarks_all_exist() -> None:
    assert list(CHALLENGES) == ["general-nlp", "finance", "medical", "code"]
    boards = [(challenge, number) for challenge in CHALLENGES for number in protocol.PROTOCOLS]
    listed = {slug for board in boards for slug in rules.of(*board).benchmarks}
    assert listed == set(benchmarks.BENCHMARKS)


def test_every_benchmark_belongs_to_the_challenge_that_lists_it() -> None:
    for benchmark in benchmarks.BENCHMARKS.values():
        asking = protocol.asking(benchmark.slug)
        assert asking and benchmark.slug in asking.benchmarks[benchmark.challenge]
        assert benchmark.challenge in protocol.CURRENT.precisions


def test_unknown_names_get_suggestions() -> None:
    with pytest.raises(UnknownNameError, match="did you mean finance"):
        challenges.get("finanse")
    with pytest.raises(UnknownNameError, match="did you mean pubmedqa"):
        benchmarks.get("pubmed_qa")
    with pytest.raises(UnknownNameError, match="did you mean transformers"):
        engines.create("transformer")
    with pytest.raises(UnknownNameError, match="there are: 1"):
        protocol.get(7)


def test_the_parts_that_the_site_reads_import_no_model_library() -> None:
    heavy = ["torch", "transformers", "peft", "scipy", "numpy"]
    light = [f"evaluation.{name}" for name in ("rules", "statistics", "benchmarks", "errors")]
    code = f"import sys, {', '.join(light)}; sys.exit(bool(set({heavy}) & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
