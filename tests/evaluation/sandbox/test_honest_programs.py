"""Programs that do what they are asked pass, whatever their functions take and return."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evaluation.rules.protocol import CURRENT
from evaluation.sandbox import Language, Limits, Outcome, Program, Verdict, run
from tests.evaluation.sandbox.conftest import need
from tests.profiles import only_long

LIMITS = Limits(cpu_seconds=15, wall_seconds=75)

PYTHON = {
    "numbers": (
        "def f(*a):\n    return a",
        "assert f(1, -2**70, 0.5, 1j, True) == (1, -2**70, 0.5, 1j, True)",
    ),
    "special numbers": (
        "def f(a):\n    return [a, -a, a - a, -0.0]",
        "a, b, c, d = f(float('inf'))\nassert a == -b and c != c and str(d) == '-0.0'",
    ),
    "texts": (
        "def f(a, b):\n    return b, a",
        "assert f('ä\\ud800\\0', b'\\xff') == (b'\\xff', 'ä\\ud800\\0')",
    ),
    "containers": (
        "def f(a):\n    return [a, (a,), {1: a}, {1, (2,)}, frozenset('a'), range(3)]",
        "assert f(None) == [None, (None,), {1: None}, {1, (2,)}, frozenset('a'), range(3)]",
    ),
    "types of the library": (
        "from collections import Counter, OrderedDict, namedtuple\nfrom decimal import Decimal\n"
        "from fractions import Fraction\nfrom enum import IntEnum\nclass E(IntEnum):\n    A = 7\n"
        "P = namedtuple('P', 'x y')\n"
        "def f():\n    values = [Counter('aa'), OrderedDict(b=1), P(1, 2), Decimal('0.5'), Fraction(1, 2)]\n"
        "    return [*values, E.A, {1: 2}.keys()]",
        "assert f() == [{'a': 2}, {'b': 1}, (1, 2), 0.5, 0.5, 7, {1}]",
    ),
    "a generator": (
        "def f(n):\n    yield from range(n)",
        "assert tuple(f(3)) == (0, 1, 2)\nassert sum(f(4)) == 6",
    ),
    "objects that are set up by the tests": (
        "class Node:\n    def __init__(self, value):\n        self.value, self.left = value, None\n"
        "def depth(node):\n    return 1 + depth(node.left) if node else 0",
        "root = Node(1)\nroot.left = Node(2)\nassert depth(root) == 2\nassert root.left.value == 2",
    ),
    "a class": (
        "class Stack:\n    def __init__(self):\n        self.items = []\n"
        "    def push(self, item, *, twice=False):\n"
        "        self.items += [item] * (1 + twice)\n        return self",
        "s = Stack()\nassert s.push(1).push(2, twice=True).items == [1, 2, 2]\nassert s.push(3) is s",
    ),
    "state between calls": (
        "seen = []\ndef f(a):\n    seen.append(a)\n    return seen",
        "f(1)\nassert f(2) == [1, 2]",
    ),
    "a function named as a built-in one": ("def sum(a, b):\n    return a * b", "assert sum(3, 4) == 12"),
    "a module that the code imported": (
        "import math\ndef f():\n    return 0.1 + 0.2",
        "assert math.isclose(f(), 0.3)",
    ),
    "printing and reading": (
        "import sys\nprint('hello')\nsys.stderr.write('hello')\ndef f():\n    print('x' * 10_000)\n"
        "    return sys.stdin.read()",
        "print('tests')\nassert f() == ''",
    ),
    "files": (
        "def f():\n    with open('notes', 'w') as file:\n        file.write('text')\n"
        "    return open('/tmp/notes').read()",
        "assert f() == 'text'",
    ),
    "exceptions": (
        "class Own(ValueError):\n    pass\ndef f():\n    raise Own('no')",
        "try:\n    f()\nexcept ValueError as error:\n    assert 'no' in str(error)\nelse:\n    assert False",
    ),
    "what a program for itself alone does not run": (
        "def f():\n    return 1\nif __name__ == '__main__':\n    raise SystemExit",
        "assert f() == 1",
    ),
    "annotations, data classes and line ends": (
        "from __future__ import annotations\r\nfrom dataclasses import dataclass\r\n@dataclass\r\n"
        "class P:\r\n"
        "    x: int = 1\r\ndef f() -> P:\r\n    return P().x",
        "assert f() == 1",
    ),
    "threads": (
        "from concurrent.futures import ThreadPoolExecutor\ndef f(n):\n"
        "    with ThreadPoolExecutor(4) as pool:\n"
        "        return list(pool.map(abs, range(-n, 0)))",
        "assert f(3) == [3, 2, 1]",
    ),
    "asynchronous code": (
        "import asyncio\nasync def g():\n    await asyncio.sleep(0)\n    return 1\ndef f():\n"
        "    return asyncio.run(g())",
        "assert f() == 1",
    ),
    "a check of its own": (
        "def check(f):\n    pass\ndef g():\n    return 1",
        "def check(c):\n    assert c() == 1\ncheck(g)",
    ),
    "the same order of sets in every run": (
        "def f():\n    return str({'a', 'b', 'c'})",
        "assert f() == str({'a', 'b', 'c'})",
    ),
}

JAVASCRIPT = {
    "values": (
        "const f = (...a) => a;",
        "assert.deepStrictEqual(f(1, -0, NaN, -Infinity, 'ä\\u0000', null, undefined, true, 12n),"
        " [1, -0, NaN, -Infinity, 'ä\\u0000', null, undefined, true, 12n]);",
    ),
    "objects": (
        "class P { constructor() { this.x = 1; } get y() { return 2; } }\n"
        "function f(){ return [new P(), {['__proto__']: 3}]; }",
        "assert.deepEqual(f(), [{x: 1}, {['__proto__']: 3}]);",
    ),
    "collections": (
        "function f(a){ return [new Map([[a, new Set([1])]]), new Date(5), /x/g, [1, , 3]]; }",
        "assert.deepEqual(f('k'), [new Map([['k', new Set([1])]]), new Date(5), /x/g, [1, , 3]]);",
    ),
    "functions": (
        "function f(n){ return (m) => n + m; }",
        "assert.deepEqual(f(1)(2), 3);",
    ),
    "a module of the library": (
        "'use strict';\nconst { createHash } = require('crypto');\n"
        "function f(s){ console.log(s); return createHash('md5').update(s).digest('hex'); }",
        "assert.deepEqual(f('a'), '0cc175b9c0f1b6a831c399e269772661');",
    ),
    "exceptions": ("function f(){ throw new TypeError('no'); }", "assert.throws(() => f(), /no/);"),
}

_HEAD = "#include<assert.h>\n#include<bits/stdc++.h>\n"
CPP = {
    "containers": (
        "std::map<std::string,long> f(std::vector<std::string> names, float x) {\n"
        '    std::cout << "hello";\n'
        "    std::map<std::string,long> m; for (auto n : names) m[n] += x; return m;",
        'assert(candidate((std::vector<std::string>({(std::string)"a", (std::string)"a"})), (2.5f)) =='
        ' (std::map<std::string,long>({{"a", 4}})));',
    ),
    "tuples and optional values": (
        "std::tuple<std::optional<long>, bool> f(std::vector<std::vector<long>> rows) {\n"
        "    return {rows.empty() ? std::optional<long>() : rows[0].at(0), true};",
        "assert(candidate((std::vector<std::vector<long>>())) =="
        " std::make_tuple(std::optional<long>(std::nullopt), true));\n"
        "assert(candidate((std::vector<std::vector<long>>({{7}}))) == std::make_tuple(7, true));",
    ),
    "any values": (
        "std::vector<long> f(std::vector<std::any> values) {\n    std::vector<long> r;\n"
        "    for (auto& v : values) if (v.type() == typeid(int)) r.push_back(std::any_cast<int>(v));\n"
        "    return r;",
        "assert(candidate((std::vector<std::any>({4, std::map<long,long>(), std::vector<long>(), 23.2f, 9,"
        ' "adasd"}))) == (std::vector<long>({(long)4, (long)9})));',
    ),
    "unions": (
        "union Union_std_string_long{\n    std::string f0;\n"
        "    long f1;    Union_std_string_long(std::string _f0) : f0(_f0) {}\n"
        "    Union_std_string_long(long _f1) : f1(_f1) {}\n    ~Union_std_string_long() {}\n"
        "    bool operator==(std::string f) {\n        return f0 == f ;\n    }    bool operator==(long f) {\n"
        "        return f1 == f ;\n    }\n};\nUnion_std_string_long f(long n) {\n"
        "    if (n < 0) return -1L;\n    return std::to_string(n);",
        'assert(candidate((5)) == "5");\n    assert(candidate((-5)) == -1);',
    ),
    "helpers and the function itself": (
        "long f(std::string s) {\n    return s.size();\n}\nlong helper() {\n    return f(std::string());",
        'assert(candidate(("abc")) == (3));\n    assert(f("a") == (1));',
    ),
    "references": (
        "long f(const std::vector<long>& a, std::string b) {\n    return a.size() + b.size();",
        'assert(candidate((std::vector<long>({1})), ("a")) == (2));',
    ),
}


def _program(language: Language, code: str, tests: str) -> Program:
    if language is Language.CPP:
        return Program(
            language, _HEAD + code, f"}}\nint main() {{\n    auto candidate = f;\n    {tests}\n}}\n"
        )
    if language is Language.JAVASCRIPT:
        tests = f"const assert = require('node:assert');\nfunction test() {{ {tests} }}\ntest();"
    return Program(language, code, "\n" + tests)


@pytest.mark.parametrize(
    ("language", "programs"),
    [(Language.PYTHON, PYTHON), (Language.JAVASCRIPT, JAVASCRIPT), (Language.CPP, CPP)],
)
def test_honest_programs_pass(language: Language, programs: dict[str, tuple[str, str]]) -> None:
    need(language)
    outcomes = dict(run([_program(language, *texts) for texts in programs.values()], LIMITS))
    failed = {name: outcomes[i] for i, name in enumerate(programs) if not outcomes[i].passed}
    assert failed == {}


@pytest.fixture
def fifteen_busy_neighbours() -> Iterator[None]:
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(15)]
    yield
    for process in busy:
        process.kill()
        process.wait()


@only_long
@pytest.mark.slow("compiles on a machine that fifteen other processes keep busy")
@pytest.mark.usefixtures("cpp", "fifteen_busy_neighbours")
def test_a_busy_machine_fails_no_cpp_program() -> None:
    seconds = CURRENT.program_seconds[Language.CPP]
    programs = [_program(Language.CPP, *CPP[name]) for name in ("containers", "references")]
    outcomes = dict(run(programs, Limits(cpu_seconds=seconds, wall_seconds=3 * seconds)))
    assert {outcome.verdict for outcome in outcomes.values()} == {Verdict.PASSED}


def _one(program: Program) -> Outcome:
    ((_, outcome),) = run([program], LIMITS)
    return outcome


def test_a_failed_test_is_shown_with_its_line(python: None) -> None:
    outcome = _one(Program(Language.PYTHON, "def f():\n    return 2", "x = 0\nassert f() == 1, 'wrong\x1b'"))
    assert outcome.verdict is Verdict.FAILED
    assert outcome.detail == "AssertionError: wrong\nin line 2 of the tests: assert f() == 1, 'wrong'"


def test_a_pass_has_no_detail(python: None) -> None:
    outcome = _one(Program(Language.PYTHON, "print('x')\ndef f():\n    return 1", "assert f() == 1"))
    assert (outcome.verdict, outcome.detail) == (Verdict.PASSED, "")
    assert outcome.seconds > 0


def test_what_a_program_sees_of_the_machine(python: None) -> None:
    code = (
        "import os, socket, sys\n"
        "def f():\n"
        "    return {'files': sorted(os.listdir('/')), 'name': socket.gethostname(),\n"
        "            'user': os.getuid() >= 65_000,\n"
        "            'environment': sorted(os.environ), 'devices': sorted(os.listdir('/dev')),\n"
        "            'pid': os.getpid() < 5,\n"
        "            'interpreter': sorted(os.listdir('/python')), 'packages': 'pip' in sys.modules}"
    )
    expected = {
        "files": True,
        "name": "sandbox",
        "user": True,
        "environment": ["HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "PWD", "PYTHONDONTWRITEBYTECODE",
                        "PYTHONHASHSEED", "TZ"],
        "devices": ["null", "urandom"],
        "pid": True,
        "interpreter": ["bin", "lib"],
        "packages": False,
    }  # fmt: skip
    tests = (
        "seen = f()\n"
        "known = {'dev', 'etc', 'lib', 'lib64', 'python', 'sandbox', 'tmp', 'usr'}\n"
        "seen['files'] = set(seen['files']) <= known\n"
        f"assert seen == {expected!r}, seen\n"
    )
    assert _one(Program(Language.PYTHON, code, tests)).detail == ""


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _some(count: int) -> list[int]:
    """Every tenth position, all of them with PARITY_FULL=1."""
    return list(range(0, count, 1 if os.environ.get("PARITY_FULL") else 10))


def test_canonical_solutions_pass(shared: Path, python: None) -> None:
    eval_data = shared / "data" / "eval"
    humaneval = [
        Program(
            Language.PYTHON,
            row["prompt"] + row["canonical_solution"],
            f"\n{row['test']}\ncheck({row['entry_point']})",
        )
        for row in _rows(eval_data / "humaneval.jsonl")
    ]
    mbpp = [
        Program(Language.PYTHON, f"{row['test_setup_code']}\n{row['code']}", "\n".join(row["test_list"]))
        for row in _rows(eval_data / "mbpp.jsonl")
    ]
    for programs, known in (
        (humaneval, set()),
        (mbpp, {356}),
    ):  # MBPP's task 367 uses its class before it is there
        chosen = sorted({*_some(len(programs)), *known})
        outcomes = run([programs[i] for i in chosen], LIMITS)
        assert {chosen[i] for i, outcome in outcomes if not outcome.passed} == known


@pytest.mark.parametrize(
    ("name", "passes"),
    [
        ("humaneval", {8, 13, 23, 28, 29, 30, 35, 45, 53}),
        (
            "mbpp",
            {9, 11, 14, 41, 51, 55, 77, 82, 88, 102, 107, 116, 165, 210, 216, 246, 273, 298, 318, 321, 323,
             350, 362, 393, 395, 421, 424, 436, 447, 453, 464, 465, 466, 476, 487, 491},
        ),
    ],
)  # fmt: skip
def test_real_completions_fare_as_in_the_public_run(
    name: str, passes: set[int], shared: Path, python: None
) -> None:
    folder = shared / "oracles" / "code_generations"
    published = json.loads((folder / f"evaluation_results_{name}.json").read_text(encoding="utf-8"))
    codes = json.loads((folder / f"generations_{name}.json").read_text(encoding="utf-8"))
    tests = json.loads((folder / f"references_{name}.json").read_text(encoding="utf-8"))
    assert len(passes) / len(codes) == pytest.approx(published[name]["pass@1"])
    chosen = sorted({*_some(len(codes)), *passes})
    programs = [Program(Language.PYTHON, codes[i][0], "\n" + tests[i]) for i in chosen]
    outcomes = run(programs, Limits(cpu_seconds=3, wall_seconds=30))
    assert {chosen[i] for i, outcome in outcomes if outcome.passed} == passes


def test_the_tests_of_every_real_cpp_problem_can_be_separated(shared: Path) -> None:
    from evaluation.sandbox.cpp import separate

    for row in _rows(shared / "data" / "eval" / "multipl_e_cpp.jsonl"):
        source = separate(
            Program(Language.CPP, row["prompt"].strip() + "\n    UNTRUSTED", "\n" + row["tests"])
        )
        assert "UNTRUSTED" in source.code
        assert "UNTRUSTED" not in source.tests
        assert len(re.findall(r"\bassert\(", source.code)) == 0
