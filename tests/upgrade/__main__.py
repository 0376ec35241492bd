"""`python -m tests.upgrade`: makes the small site anew, by the version that is checked out.

To be run for a release, from its tag; later versions are then tested against it.
"""

from __future__ import annotations

import json
import os
import sys
import tarfile
import tempfile
from pathlib import Path

from portal.environment import read_environment
from portal.machine import embedded
from tests.upgrade import KEPT, LIMIT, SECRET_KEY


def main() -> None:
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
            _make(Path(folder))


def _make(folder: Path) -> None:
    from django.core.management import call_command

    from tests.upgrade import filling, site, standing

    call_command("migrate", verbosity=0)
    site.fill()
    filled = filling.fill_empty_tables()
    kept = folder / "kept"
    kept.mkdir()
    (kept / "boards.json").write_text(json.dumps(standing.boards(), indent=1))
    call_command("backup", str(kept / "backups"))
    with tarfile.open(KEPT, "w:xz") as archive:
        archive.add(kept, arcname=".", filter=_anonymous)
    size = KEPT.stat().st_size
    sys.stdout.write(f"{KEPT.name}: {size:,} bytes; with one row each: {', '.join(filled)}\n")
    if size > LIMIT:
        raise SystemExit(f"more than {LIMIT:,} bytes")


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Nothing of the account that made it."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    main()
