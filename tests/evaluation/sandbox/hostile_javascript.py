"""Hostile programs in JavaScript."""

from __future__ import annotations

from evaluation.sandbox import Language, Verdict
from tests.evaluation.sandbox.hostile import Hostile, collector

PROGRAMS: list[Hostile] = []
_add = collector(
    Language.JAVASCRIPT,
    lambda expected: (
        "\nconst assert = require('node:assert');\n\n\nfunction test() {\n  let candidate = f;\n"
        f"  assert.deepEqual(candidate(),{expected});\n}}\n\ntest();"
    ),
    PROGRAMS,
)
_ends = Verdict.ENDED_EARLY

_add(
    "children",
    "function f(){ return require('child_process').execSync('echo hello').toString(); }",
    "'hello\\n'",
    Verdict.FAILED,
)
_add(
    "memory bomb",
    "function f(){ const kept = []; for (;;) kept.push(Buffer.alloc(10_000_000, 1)); }",
    "1",
    Verdict.OUT_OF_MEMORY,
    _ends,
)
_add(
    "heap bomb",
    "function f(){ let kept = []; for (;;) kept = [kept, new Array(1000).fill({})]; }",
    "1",
    Verdict.OUT_OF_MEMORY,
    Verdict.TIMED_OUT,
    _ends,
)
_add("endless loop", "function f(){ for (;;); }", "1", Verdict.TIMED_OUT)
_add(
    "waiting",
    "function f(){ Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0); }",
    "1",
    Verdict.TIMED_OUT,
)
_add(
    "endless output",
    "function f(){ for (;;) require('fs').writeSync(1, 'x'.repeat(10000)); }",
    "1",
    Verdict.TOO_MUCH_OUTPUT,
)
_add(
    "thread bomb",
    "function f(){ const { Worker } = require('worker_threads');\n"
    "  for (let i = 0; i < 500; i++) new Worker('for(;;);', { eval: true });\n  for (;;); }",
    "1",
    Verdict.TOO_MANY_PROCESSES,
    Verdict.OUT_OF_MEMORY,
    Verdict.TIMED_OUT,
    Verdict.FAILED,
    _ends,
)
_add("deep recursion", "function f(){ return f(); }", "1", Verdict.FAILED)
_add("a circle", "function f(){ const a = []; a.push(a); return a; }", "[[]]", Verdict.FAILED)
_add(
    "the network",
    "let connected = false;\n"
    "require('net').connect(<port>, '127.0.0.1', () => { connected = true; }).on('error', () => {});\n"
    "function f(){ const end = Date.now() + 300; while (Date.now() < end); return connected; }",
    "true",
)
_add("a web page", "fetch('http://127.0.0.1:<port>/');\nfunction f(){ return 1; }", "2")
_add(
    "a host's file",
    "function f(){ return require('fs').readFileSync('<canary>', 'utf8'); }",
    "'<secret>'",
    Verdict.FAILED,
)
_add(
    "a host's module",
    "function f(){ return typeof require('<canary>'); }",
    "'object'",
    Verdict.FAILED,
)
_add("environment", "function f(){ return process.env['<variable>']; }", "'<secret>'", Verdict.FAILED)
_add(
    "the host's name",
    "const os = require('os');\n"
    "function f(){ return os.hostname() !== 'sandbox' || os.userInfo().username; }",
    "true",
    Verdict.FAILED,
)
_add(
    "a link to the host",
    "const fs = require('fs');\n"
    "function f(){ fs.symlinkSync('<canary>', '/tmp/l'); return fs.readFileSync('/tmp/l', 'utf8'); }",
    "'<secret>'",
    Verdict.FAILED,
)
_add("killing all", "function f(){ process.kill(-1, 'SIGKILL'); return 1; }", "1", Verdict.FAILED)
# In a container the number may be its own, in the box.
_add("killing its parent", "function f(){ process.kill(<pid>, 9); return 1; }", "1", Verdict.FAILED, _ends)
_add("becoming root", "function f(){ process.setuid(0); return 1; }", "1", Verdict.FAILED)
_add("exit", "function f(){ process.exit(0); }", "1", _ends)
_add("exit while loading", "function f(){ return 1; }\nprocess.exit(0);", "1", _ends)
_add("a crash", "function f(){ process.abort(); }", "1", _ends)
_add(
    "another exit status",
    "process.on('exit', () => { process.exitCode = 0; process.reallyExit(0); });\nfunction f(){ return 2; }",
    "1",
    Verdict.FAILED,
)
_add(
    "an unhandled rejection",
    "Promise.reject(new Error('no'));\nfunction f(){ process.nextTick(() => process.exit(0)); return 2; }",
    "1",
    Verdict.FAILED,
)
_add(
    "another assert",
    "const a = require('assert');\nfor (const k of Object.keys(a)) a[k] = () => {};\n"
    "require('module')._load = () => new Proxy(() => {}, { get: () => () => {} });\n"
    "function f(){ return 2; }",
    "1",
    Verdict.FAILED,
)
_add(
    "equal to all",
    "const lies = { get: () => 1, ownKeys: () => [], getPrototypeOf: () => Number.prototype };\n"
    "function f(){ return new Proxy({}, lies); }",
    "1",
    Verdict.FAILED,
)
_add("a value of its own", "function f(){ return { valueOf() { return 1; } }; }", "1", Verdict.FAILED)
_add(
    "other prototypes",
    "Object.is = () => true;\nArray.isArray = () => true;\nJSON.stringify = () => '[\"value\",1';\n"
    "function f(){ return 2; }",
    "1",
)
_add(
    "saying that it passed",
    "const fs = require('fs');\n"
    "function f(){ for (let d = 1; d < 64; d++) { try { fs.writeSync(d, 'passed\\n'); }"
    " catch {} } process.exit(0); }",
    "1",
)
_add("returning early", "function f(){ return 1; }\nreturn;", "1", Verdict.FAILED)
_add("not JavaScript", "function f({ return 1; }", "1", Verdict.NOT_COMPILED)
