"""Hostile programs that forge what the code's process tells the tests' process, or confuse who reads it."""

from __future__ import annotations

from evaluation.sandbox import Language, Verdict
from tests.evaluation.sandbox.hostile import Hostile, collector

PYTHON: list[Hostile] = []
JAVASCRIPT: list[Hostile] = []
CPP: list[Hostile] = []
_ends = Verdict.ENDED_EARLY

# --- Python

_python = collector(Language.PYTHON, lambda expected: f"\nassert f() == {expected}", PYTHON)
_WIRE = """
import gc, os, sys
wire = next(o for o in gc.get_objects() if type(o).__name__ == 'Wire')
def raw(data):
    os.write(wire._writing, len(data).to_bytes(4, 'big') + data)
"""


def _forged(name: str, said: str, *verdicts: Verdict, at_once: bool = False, expected: str = "1") -> None:
    """`said` is what the program sends, when it is loaded or when it is called."""
    where = f"{said}\nos._exit(0)" if at_once else f"def f():\n    {said}\n    os._exit(0)"
    _python(name, _WIRE + where, expected, *verdicts)


_forged(
    "a number without a text as the error",
    "wire.send('unparsable', 10**5000)",
    Verdict.NOT_COMPILED,
    at_once=True,
)
_forged(
    "a number without a text as what was raised",
    "wire.send('raised', 'ValueError', 10**5000)",
    Verdict.FAILED,
)
_forged("a verdict in place of an answer", "wire.send('passed')", Verdict.FAILED, at_once=True)
_forged("a verdict in place of a value", "wire.send('passed', 1)", Verdict.FAILED, expected="2")
_forged("an answer of no length", "raw(b'')", Verdict.FAILED)
_forged("an answer longer than it is", "os.write(wire._writing, b'\\x00\\xff\\xff\\xff' + b'x')", _ends)
_forged(
    "a list longer than it is",
    "raw(b't\\x00\\x00\\x00\\x02' b'u\\x00\\x00\\x00\\x05value' b'l\\xff\\xff\\xff\\xff')",
    Verdict.FAILED,
)
_forged(
    "a list as deep as it is long",
    "raw(b't\\x00\\x00\\x00\\x02u\\x00\\x00\\x00\\x05value' + b'l\\x00\\x00\\x00\\x01' * 300_000 + b'N')",
    Verdict.FAILED,
)
_forged("an error that ends the tests", "wire.send('raised', 'SystemExit', '0')", Verdict.FAILED)
_forged(
    "a module in place of a function",
    "wire.send('loaded')\nwire.send('module', 'antigravity')",
    Verdict.FAILED,
    _ends,
    at_once=True,
)
_python(
    "a set that takes the tests' time",
    _WIRE + "def f():\n    numbers = [(2**61 - 1) * n for n in range(1, 60_000)]\n    said = bytearray()\n"
    "    wire._encode(('value', numbers), said)\n    said[15:16] = b's'\n    raw(said)\n    os._exit(0)",
    "1",
    Verdict.TIMED_OUT,
)
_python(
    "a value that the failed test cannot show",
    "def f():\n    return 10**5000",
    "1, f()",
    Verdict.FAILED,
)
_python(
    "an answer in packets, and a pipe that does not wait",
    _WIRE
    + "import fcntl\nfor d in (1, 2, wire._writing):\n    fcntl.fcntl(d, 4, os.O_DIRECT | os.O_NONBLOCK)\n"
    "def f():\n    return 'x' * 100_000",
    "'x' * 100_001",
    Verdict.FAILED,
    _ends,
    Verdict.TIMED_OUT,  # its own pipe is full, and it tries again
)
_python(
    "output that is no text",
    "import os\ndef f():\n    os.write(1, b'\\x00\\xff\\xfe\\x1b]0;owned\\x07\\x1b[2J' * 1000)\n    return 2",
    "1",
    Verdict.FAILED,
)
_python(
    "an answer behind its own output",
    "import os\ndef f():\n    os.dup2(1, 1)\n    os.closerange(3, 64)\n    os.write(1, b'passed\\n')\n"
    "    import time\n    time.sleep(60)",
    "1",
    _ends,
    Verdict.TIMED_OUT,  # it sleeps on, and on a busy machine its time ends first
)

# --- JavaScript

_javascript = collector(
    Language.JAVASCRIPT,
    lambda expected: (
        "\nconst assert = require('node:assert');\n\n\nfunction test() {\n  let candidate = f;\n"
        f"  assert.deepEqual(candidate(),{expected});\n}}\n\ntest();"
    ),
    JAVASCRIPT,
)
_SAY = (
    "const fs = require('fs');\n"
    "function say(text) {\n  const frame = Buffer.concat([Buffer.alloc(4), Buffer.from(text)]);\n"
    "  frame.writeUInt32BE(frame.length - 4);\n  for (let at = 0; at < frame.length; )"
    " at += fs.writeSync(Number(process.argv[4]), frame, at);\n}\n"
)
_javascript(
    "a line of the tests that is none",
    "function f(){ throw new Error('tests.js:99999'); }",
    "1",
    Verdict.FAILED,
)
_javascript(
    "an error that refuses to be text",
    _SAY
    + 'say(\'["unparsable",{"plain":[["toString",1],["valueOf",1]]}]\');\nprocess.exit(0);\nfunction f(){}',
    "1",
    Verdict.NOT_COMPILED,
)
_javascript(
    "a prototype in an answer",
    _SAY + 'function f(){ say(\'["value",{"plain":[["__proto__",[]],["length",1],["0",1]]}]\');\n'
    "  process.exit(0); }",
    "[1]",
    Verdict.FAILED,
)
_javascript(
    "an answer as deep as it is long",
    _SAY + "function f(){ say('['.repeat(200_000) + ']'.repeat(200_000)); process.exit(0); }",
    "1",
    Verdict.FAILED,
    Verdict.OUT_OF_MEMORY,
)
_javascript(
    "an answer of nothing",
    _SAY + "function f(){ say('[\"value\",{}]'); process.exit(0); }",
    "1",
    Verdict.FAILED,
)
_javascript(
    "another console, cache and reader",
    "const fs = require('fs');\nfor (const k of ['log', 'error', 'assert']) console[k] = () => {};\n"
    "for (const k of Object.keys(require.cache)) delete require.cache[k];\n"
    "require.cache['assert'] = { exports: () => {} };\nObject.prototype.toJSON = () => 1;\n"
    "Number.prototype.toJSON = () => 1;\nfunction f(){ return 2; }",
    "1",
)
_javascript(
    "a getter that ends the process, and one that answers each time anew",
    "let n = 0;\nfunction f(){ return { get a() { return ++n; }, get b() { process.exit(0); } }; }",
    "{ a: 1, b: 2 }",
    _ends,
)
_javascript(
    "entry to the engine",
    "const v8 = require('v8');\nv8.setFlagsFromString('--allow-natives-syntax');\n"
    "function f(){ new Function('%AbortJS(\"x\")')(); return 1; }",
    "1",
    _ends,
)
_javascript(
    "a debugger",
    "const i = require('inspector');\nfunction f(){ i.open(0, '127.0.0.1'); return i.url().slice(0, 2); }",
    "'ws'",
    Verdict.FAILED,
)
_javascript(
    "a library of the host's",
    "function f(){ process.dlopen({ exports: {} }, '<canary>'); return 1; }",
    "1",
    Verdict.FAILED,
)

# --- C++

_HEAD = "#include<assert.h>\n#include<bits/stdc++.h>\n// Return 1\nlong f() {\n"
_cpp_raw = collector(
    Language.CPP,
    lambda expected: (
        f"}}\nint main() {{\n    auto candidate = f;\n    assert(candidate() == ({expected}));\n}}\n"
    ),
    CPP,
)


def _cpp(name: str, *parts: str, verdicts: tuple[Verdict, ...] = ()) -> None:
    """A body that returns the wrong answer with texts after it, or one text that is a body."""
    body = parts[0] if len(parts) == 1 else "    return 2;\n}\n" + "\n".join(parts) + "\nvoid last() {"
    _cpp_raw(name, _HEAD + body, "1", *verdicts)


_cpp(
    "calls of 32 bits",
    '    long r; asm volatile("int $0x80" : "=a"(r) : "a"(20)); return r > 0;',
    verdicts=(_ends,),
)
_cpp(
    "a call without the library",
    '    long r; asm volatile("syscall": "=a"(r) : "a"(41), "D"(2), "S"(1), "d"(0) : "rcx", "r11");\n'
    "    return r >= 0;",
    verdicts=(Verdict.FAILED,),
)
_cpp(
    "a forged answer in the tests' words",
    '    for (int d = 3; d < 64; ++d) (void)!write(d, "\\xff\\xff\\xff\\x7fR", 5);\n    _exit(0);',
    verdicts=(Verdict.FAILED, _ends),
)
_cpp(
    "a constructor before main, another allocator and a destructor at the end",
    '__attribute__((constructor)) void first() { (void)!write(1, "passed\\n", 7); }',
    "__attribute__((destructor)) void at_end() { _exit(0); }",
    "void* operator new(std::size_t) { _exit(0); }",
    verdicts=(_ends, Verdict.FAILED),
)
_cpp(
    "another write",
    "",
    'extern "C" ssize_t write(int, const void*, size_t) { _exit(0); }',
    verdicts=(_ends, Verdict.NOT_COMPILED),
)
_cpp(
    "another bridge",
    "",
    'namespace sandbox_bridge { template <> void put<long>(Writer& out, const long&) { out.raw("", 1); } }',
    verdicts=(Verdict.FAILED, Verdict.NOT_COMPILED),
)
_cpp(
    "an embedded file",
    "const char text[] = {",
    '#embed "<canary>"',
    "};",
    verdicts=(Verdict.NOT_COMPILED,),
)
_cpp(
    "includes that double",
    "",
    '#if __INCLUDE_LEVEL__ < 150\n#include "/sandbox/source.cpp"\n#include "/sandbox/source.cpp"\n#endif',
    verdicts=(Verdict.NOT_COMPILED,),
)
_cpp(
    "a macro that grows without end",
    "#define A(x) x x x x x x x x x x\n#define B(x) A(A(A(A(x))))\n#define C(x) B(B(x))",
    'const char* s = C("0123456789");',
    verdicts=(Verdict.NOT_COMPILED,),
)
_cpp(
    "an assembler's loop",
    "",
    'asm(".rept 100000000\\n.quad 1\\n.endr");',
    verdicts=(Verdict.NOT_COMPILED,),
)
