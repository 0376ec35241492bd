"""Where the sandbox cannot isolate, it refuses; where it fails, that is an error and no verdict."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from evaluation.errors import DataError, SandboxError
from evaluation.sandbox import Language, Limits, Program, check, run

LIMITS = Limits(cpu_seconds=5, wall_seconds=30)
PROGRAM = Program(Language.PYTHON, "def f():\n    return 1", "assert f() == 1")

pytestmark = pytest.mark.usefixtures("python")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the PATH. It holds what the sandbox needs to run Python."""
    found = {name: shutil.which(name) for name in ("bwrap", "prlimit", "setpriv", "sh")}
    for name, path in found.items():
        assert path is not None
        (tmp_path / name).symlink_to(path)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def _script(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


def test_python_needs_no_more_than_bubblewrap(programs: Path) -> None:
    check([Language.PYTHON])
    assert [outcome.passed for _, outcome in run([PROGRAM], LIMITS)] == [True]


@pytest.mark.parametrize(
    ("missing", "language", "package"),
    [
        ("bwrap", Language.PYTHON, "bubblewrap"),
        ("prlimit", Language.PYTHON, "util-linux"),
        ("node", Language.JAVASCRIPT, "nodejs"),
        ("g++", Language.CPP, r"g\+\+"),
    ],
)
def test_what_is_missing_is_named(programs: Path, missing: str, language: Language, package: str) -> None:
    (programs / missing).unlink(missing_ok=True)
    with pytest.raises(SandboxError, match=f"apt-get install {package}"):
        check([language])
    with pytest.raises(SandboxError):
        list(run([Program(language, "long f() {", "}\nint main() { auto candidate = f; }")], LIMITS))


def test_nothing_runs_without_bubblewrap(programs: Path, tmp_path: Path) -> None:
    (programs / "bwrap").unlink()
    written = tmp_path / "written"
    with pytest.raises(SandboxError, match="bwrap"):
        list(run([Program(Language.PYTHON, f"open({str(written)!r}, 'w')", "")], LIMITS))
    assert not written.exists()


def test_an_old_bubblewrap_is_refused(programs: Path) -> None:
    _script(programs / "bwrap", "echo bubblewrap 0.4.1")
    with pytest.raises(SandboxError, match=r"0\.8 or newer is needed, and this is bubblewrap 0\.4\.1"):
        check([Language.PYTHON])


def test_a_machine_that_allows_no_namespaces_is_refused(programs: Path) -> None:
    _script(
        programs / "bwrap",
        'case "$*" in --version) echo bubblewrap 0.9.0;; *) echo "bwrap: No permissions" >&2; exit 1;; esac',
    )
    with pytest.raises(SandboxError, match=r"No permissions.*user namespaces must be allowed"):
        check([Language.PYTHON])


@pytest.mark.parametrize("role", ["answer", "examine"])
def test_a_sandbox_that_does_not_start_is_an_error(programs: Path, role: str) -> None:
    real = os.path.realpath(programs / "bwrap")
    _script(
        programs / "bwrap",
        f'case "$*" in *" {role} "*) echo out of luck >&2; exit 1;; esac\nexec {real} "$@"',
    )
    with pytest.raises(SandboxError, match="out of luck"):
        list(run([PROGRAM], LIMITS))


def test_a_failure_that_does_not_come_again_is_nobodys(programs: Path, tmp_path: Path) -> None:
    real, mark = os.path.realpath(programs / "bwrap"), tmp_path / "failed-once"
    _script(programs / "bwrap", f'[ -e {mark} ] || {{ : > {mark}; exit 1; }}\nexec {real} "$@"')
    assert [outcome.passed for _, outcome in run([PROGRAM], LIMITS)] == [True]
    assert mark.exists()


def test_tests_that_cannot_be_run_are_an_error_of_the_data() -> None:
    odd = Program(Language.PYTHON, "def f(a):\n    return a", "assert f(lambda: 1)")
    with pytest.raises(DataError, match="a value of type function"):
        list(run([odd], LIMITS))
    shapeless = Program(Language.CPP, "long f() { return 1; }", "int main() { return f(); }")
    with pytest.raises(DataError, match="closing brace"):
        list(run([shapeless], LIMITS))


def test_stopping_early_leaves_nothing_behind(no_leftovers: None) -> None:
    waits = Program(Language.PYTHON, "import time\ntime.sleep(60)", "")
    outcomes = run([PROGRAM, *[waits] * 20], LIMITS, workers=3)
    assert next(outcomes)[1].passed
    outcomes.close()  # type: ignore[attr-defined]


def test_no_programs_have_no_outcomes() -> None:
    assert list(run([], LIMITS)) == []
