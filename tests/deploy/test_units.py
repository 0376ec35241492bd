"""The systemd units, as systemd reads them."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from portal.environment import PROJECT_ROOT, Environment
from portal.machine.processes import commands

UNITS = PROJECT_ROOT / "deploy" / "systemd"
# Of systemd 254; older ones say that they don't know it, and go on.
NEWER = "Unknown key 'DelegateSubgroup'"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    folder = shutil.copytree(UNITS, tmp_path / "units")
    for file in folder.glob("flowertune*.*"):
        if file.is_file():
            file.write_text(file.read_text().replace("/opt/flowertune/", f"{PROJECT_ROOT}/"))
    names = [
        file.name.replace("@", "@0")
        for file in folder.iterdir()
        if file.suffix in (".service", ".timer", ".target")
    ]
    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(f"./{name}" for name in names)],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "SYSTEMD_UNIT_PATH": f"{folder}:"},
        capture_output=True,
        text=True,
    ).stderr
    ours = [line for line in said.splitlines() if "flowertune" in line and NEWER not in line]
    assert len(names) == 6 and not ours


@pytest.mark.parametrize(
    ("unit", "process"),
    [("flowertune-web", "web"), ("flowertune-worker@", "worker"), ("flowertune-scheduler", "scheduler")],
)
def test_a_unit_starts_what_serve_starts(unit: str, process: str) -> None:
    text = (UNITS / f"{unit}.service").read_text().replace("\\\n", "")
    (line,) = re.findall(r"^ExecStart=(.*)", text, flags=re.MULTILINE)
    program, *arguments = shlex.split(line.replace("--hostname %i@%%h", ""))
    served = commands("127.0.0.1", 8000)[process][2:]
    level = next(word for word in served if word in ("--loglevel", "--log-level"))
    for words in (arguments, served):
        del words[words.index(level) : words.index(level) + 2]
    assert [Path(program).name, *arguments] == served


def test_the_settings_file_names_settings() -> None:
    names = set(re.findall(r"^(\w+)=", (UNITS / "flowertune.env").read_text(), flags=re.MULTILINE))
    assert names - {"HF_HOME"} <= {name.upper() for name in Environment.model_fields}
