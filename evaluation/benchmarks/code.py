"""Programs that are judged by running them: MBPP (arXiv 2108.07732), HumanEval (arXiv 2107.03374) and
MultiPL-E in JavaScript and C++ (arXiv 2208.08227).

Prompts, stop strings and what is run follow the BigCode evaluation harness, which FlowerTune uses. MBPP's
item 367 has set-up code that needs the code under test but runs before it: nothing passes there, as in the
public code, which does not run the set-up at all.
"""

from __future__ import annotations

from dataclasses import dataclass

from evaluation.benchmarks.definition import (
    Benchmark,
    Column,
    CountTokens,
    HubFiles,
    Question,
    one_of,
    text,
    texts,
)
from evaluation.benchmarks.samples import Decoding, Row
from evaluation.languages import Language
from evaluation.rules.protocol import Protocol

PASSED = "passed"
"""The target of every sample: the prediction is how the program fared."""


@dataclass(frozen=True)
class _StopAt:
    """The rules that end a completion at the first of its stop strings."""

    slug: str
    stop: tuple[str, ...]

    def decoding(self, protocol: Protocol, _count_tokens: CountTokens) -> Decoding:
        return Decoding(max_sequence_tokens=protocol.program_sequence_tokens[self.slug], stop=self.stop)

    def cut(self, completion: str) -> str:
        ends = [end for stop in self.stop if (end := completion.find(stop)) >= 0]
        return completion[: min(ends)] if ends else completion


def _ask_humaneval(row: Row, _protocol: Protocol) -> Question:
    tests = f"\n{row['test']}\ncheck({row['entry_point']})"
    return Question(row["prompt"].strip(), PASSED, tests=tests)


def _ask_mbpp(row: Row, _protocol: Protocol) -> Question:
    prompt = f'"""\n{row["text"]}\n{row["test_list"][0]}\n"""\n'
    tests = "\n" + "\n".join(row["test_list"])
    return Question(prompt, PASSED, setup=row["test_setup_code"], tests=tests)


def _ask_multipl_e(row: Row, _protocol: Protocol) -> Question:
    return Question(row["prompt"].strip(), PASSED, tests="\n" + row["tests"])


def _at_least_one_text(name: str) -> Column:
    column = texts(name)
    return Column(name, lambda value: column.accepts(value) and bool(value), "a list of at least one text")


def _multipl_e(slug: str, title: str, rule: _StopAt, language: Language, digest: str) -> Benchmark:
    short = {Language.JAVASCRIPT: "js", Language.CPP: "cpp"}[language]
    return Benchmark(
        slug=slug,
        title=title,
        challenge="code",
        source=f"nuprl/MultiPL-E, humaneval-{short}, test",
        file=slug,
        # Later revisions lost some comment marks of the prompts.
        hub=HubFiles(
            "nuprl/MultiPL-E",
            "28441b6024e71d4a1c1c0f6bf171c935cd5a43f2",
            (f"humaneval-{short}/test-00000-of-00001.parquet",),
            licence="MIT",
        ),
        columns=(text("prompt"), text("tests"), one_of("language", short)),
        rows=161,
        digest=digest,
        labels=(PASSED,),
        ask=_ask_multipl_e,
        decoding=rule.decoding,
        read=rule.cut,
        language=language,
        id_column="name",
        measures=f"Programs in {title.removeprefix('MultiPL-E ')}, translated from HumanEval, that pass the "
        "problem's tests.",
        paper="2208.08227",
        remark="The revision is pinned: the prompts of later ones lost some comment marks.",
    )


_MBPP = _StopAt("mbpp", ("\nclass", "\nassert", '\n"""', "\nprint", "\nif", "\n<|/", "\n```"))
_HUMANEVAL = _StopAt(
    "humaneval", ("\nclass", "\ndef", "\n#", "\n@", "\nprint", "\nif", "\n```", "<file_sep>")
)
_JAVASCRIPT = _StopAt("multipl_e_js", ("\nfunction ", "\n/*", "\n//", "\nconsole.log", "<file_sep>"))
_CPP = _StopAt("multipl_e_cpp", ("\n}", "<file_sep>"))

BENCHMARKS = (
    Benchmark(
        slug="mbpp",
        title="MBPP",
        challenge="code",
        source="google-research-datasets/mbpp, test",
        file="mbpp",
        hub=HubFiles(
            "google-research-datasets/mbpp",
            "4bb6404fdc6cacfda99d4ac4205087b89d32030c",
            ("full/test-00000-of-00001.parquet",),
            licence="CC BY 4.0",
        ),
        columns=(text("text"), _at_least_one_text("test_list"), text("test_setup_code")),
        rows=500,
        digest="c3882d0525cc13b76744ec6efee922008e2a54708457c1057730d25917ca9f6d",
        labels=(PASSED,),
        ask=_ask_mbpp,
        decoding=_MBPP.decoding,
        read=_MBPP.cut,
        language=Language.PYTHON,
        id_column="task_id",
        measures="Short Python programs from a description and one test that pass all of its tests.",
        paper="2108.07732",
        remark="Nothing passes item 367: its set-up code needs the program but runs before it.",
    ),
    Benchmark(
        slug="humaneval",
        title="HumanEval",
        challenge="code",
        source="openai/openai_humaneval, test",
        file="humaneval",
        hub=HubFiles(
            "openai/openai_humaneval",
            "7dce6050a7d6d172f3cc5c32aa97f52fa1a2e544",
            ("openai_humaneval/test-00000-of-00001.parquet",),
            licence="MIT",
        ),
        columns=(text("prompt"), text("test"), text("entry_point")),
        rows=164,
        digest="a79738e524682fc9633c98b741df89050fe2f288fc04f109d8b172908c5eba0a",
        labels=(PASSED,),
        ask=_ask_humaneval,
        decoding=_HUMANEVAL.decoding,
        read=_HUMANEVAL.cut,
        language=Language.PYTHON,
        id_column="task_id",
        measures="Python functions from their signature and description, that pass the problem's tests.",
        paper="2107.03374",
    ),
    _multipl_e(
        "multipl_e_js",
        "MultiPL-E JavaScript",
        _JAVASCRIPT,
        Language.JAVASCRIPT,
        "3f9dee8aeabdc98ff289059ef95d14f4427cad08b27a0196860cc97e5c5f1c9a",
    ),
    _multipl_e(
        "multipl_e_cpp",
        "MultiPL-E C++",
        _CPP,
        Language.CPP,
        "0aee0533e3cda59197d6e33dd0ba5c4dd06af94b54e627339d01751463f8ad39",
    ),
)
