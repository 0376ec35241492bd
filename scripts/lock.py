"""Writes constraints.txt: the versions of everything that the project's packages bring, as installed here.

Only what these extras reach is written, so nothing that was installed by the way gets
in. Run by `make lock` after a pin in pyproject.toml was changed and installed.
"""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = ("web", "embedded", "worker", "sentry", "traces", "dev")
HEADER = """\
# Written by scripts/lock.py. To change a version: edit pyproject.toml, then
#   .venv/bin/pip install -e '.[web,embedded,worker,s3,sentry,traces,dev]' && make lock
# A build suffix such as torch's +cpu is left out: each machine takes the build that its index offers.
"""


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def reach(requirements: list[str]) -> dict[str, str]:
    """Return name and version of every installed package that the requirements need, directly or not."""
    versions: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        requirement = waiting.pop()
        for extra in ("", *requirement.extras):
            name = normalised(requirement.name)
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            package = distribution(name)
            versions[name] = package.version.partition("+")[0]
            brought = map(Requirement, package.requires or ())
            waiting += [
                need for need in brought if need.marker is None or need.marker.evaluate({"extra": extra})
            ]
    return versions


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    requirements = [*project["dependencies"], *(need for extra in EXTRAS for need in optional[extra])]
    pins = [f"{name}=={version}\n" for name, version in sorted(reach(requirements).items())]
    (ROOT / "constraints.txt").write_text(HEADER + "".join(pins))
    print(f"constraints.txt: {len(pins)} packages")


if __name__ == "__main__":
    main()
