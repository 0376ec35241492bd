"""`python -m tests.upgrade REVISION`: keeps the small site anew, made by the code of a tag or a commit.

To be run for a release, with its tag (v0.2.0); later versions are then tested against it. Without a revision
the small site is made by the files as they are: that is what runs in a checkout of the revision.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from portal.environment import PROJECT_ROOT, read_environment
from portal.machine import embedded
from tests.upgrade import KEPT, LIMIT, ORIGIN, SECRET_KEY


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.upgrade", description=__doc__)
    parser.add_argument("revision", nargs="?", help="a tag or a commit that has tests/upgrade")
    revision = parser.parse_args().revision
    if revision:
        _make_of(revision)
    else:
        _make_here()
    if (size := KEPT.stat().st_size) > LIMIT:
        raise SystemExit(f"{KEPT.name} has {size:,} bytes, more than {LIMIT:,}")


def _make_of(revision: str) -> None:
    """Have the revision's own code make it, and write down which one that was."""
    commit = _git("rev-parse", "--verify", f"{revision}^{{commit}}")
    with tempfile.TemporaryDirectory() as folder, _checked_out(commit, Path(folder) / "tree") as tree:
        subprocess.run([sys.executable, "-m", "tests.upgrade"], cwd=tree, check=True)
        kept = Path(folder) / "kept"
        with tarfile.open(tree / KEPT.relative_to(PROJECT_ROOT)) as made:
            made.extractall(kept, filter="data")
        origin = {"revision": revision, "commit": commit, "date": _git("show", "-s", "--format=%cs", commit)}
        (kept / ORIGIN).write_text(json.dumps(origin, indent=1))
        _archive(kept)


@contextmanager
def _checked_out(commit: str, tree: Path) -> Iterator[Path]:
    _git("worktree", "add", "--quiet", "--detach", str(tree), commit)
    try:
        yield tree
    finally:
        _git("worktree", "remove", "--force", str(tree))


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=PROJECT_ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def _make_here() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            "DEBUG": "1",
            "VAR_DIR": folder,
            "SECRET_KEY": SECRET_KEY,
            "STAFF_SECOND_FACTOR": "0",
            "DJANGO_SETTINGS_MODULE": "portal.settings",
            "EMBEDDED_STATE_DIR": f"{folder}/services",
        }
        with embedded.running(read_environment()):
            import django  # the settings are read once the services run

            django.setup()
            _make(Path(folder) / "kept")


def _make(kept: Path) -> None:
    from django.core.management import call_command

    from tests.upgrade import filling, site, standing

    call_command("migrate", verbosity=0)
    site.fill()
    filled = filling.fill_empty_tables()
    kept.mkdir()
    (kept / "boards.json").write_text(json.dumps(standing.boards(), indent=1))
    call_command("backup", str(kept / "backups"))
    _archive(kept)
    sys.stdout.write(f"{KEPT.name}: with one row each: {', '.join(filled)}\n")


def _archive(kept: Path) -> None:
    with tarfile.open(KEPT, "w:xz") as archive:
        archive.add(kept, arcname=".", filter=_anonymous)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Nothing of the account that made it."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    main()
