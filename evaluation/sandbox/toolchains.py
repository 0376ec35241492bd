"""The interpreters and the compiler of this machine, and what of it they need to see in the sandbox.

Everything is mounted read-only, under neutral names where the original path would tell of the host.
"""

from __future__ import annotations

import functools
import shutil
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from evaluation.errors import SandboxError
from evaluation.sandbox.program import Language

Mounts = tuple[str, ...]
"""Arguments of bubblewrap that make something of the host visible, read-only."""

GUESTS = Path(__file__).with_name("guests")
PYTHON = "/python/bin/python3"
NODE = "/node/bin/node"
PYTHON_ENVIRONMENT = {"LD_LIBRARY_PATH": "/python/lib", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}

_PACKAGES = {
    "bwrap": "bubblewrap",
    "prlimit": "util-linux",
    "setpriv": "util-linux",
    "node": "nodejs",
    "g++": "g++",
}
_PROGRAMS = {Language.PYTHON: (), Language.JAVASCRIPT: ("node",), Language.CPP: ("g++",)}


def find(program: str) -> Path:
    """The program's path with symbolic links resolved. Raises SandboxError that says how to install it."""
    found = shutil.which(program)
    if found is None:
        raise SandboxError(
            f"generated programs run only in isolation, which needs {program}, and it is not on the PATH; "
            f"install it, for example with: apt-get install {_PACKAGES[program]}"
        )
    return Path(found).resolve()


def require(language: Language) -> None:
    """Raises SandboxError that names what is missing for a language."""
    for program in ("bwrap", "prlimit", "setpriv", *_PROGRAMS[language]):
        find(program)


def read_only(source: Path, destination: str | None = None) -> Mounts:
    return ("--ro-bind", str(source), destination or str(source))


@functools.cache
def libraries() -> Mounts:
    """The dynamic loader and the system's shared libraries."""
    multiarch = sysconfig.get_config_var("MULTIARCH")
    system = Path("/usr/lib", multiarch) if multiarch else Path("/usr/lib")
    folders = [system if system.is_dir() else Path("/usr/lib"), Path("/usr/lib64")]
    loaders = [Path("/lib"), Path("/lib64")]
    return (*_existing(folders), *_existing(loaders), "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache")


def python() -> Mounts:
    """This interpreter and its standard library; packages that were installed into it are hidden.

    `sys.executable` leads through a virtual environment's links to the interpreter that it was made from.
    """
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    inside = f"/python/{sys.platlibdir}/{version}"
    standard_library = Path(sysconfig.get_path("stdlib"))
    mounts = [
        *libraries(),
        *read_only(Path(sys.executable).resolve(), PYTHON),
        *read_only(standard_library, inside),
    ]
    for name in ("site-packages", "dist-packages"):
        if (standard_library / name).is_dir():
            mounts += ["--tmpfs", f"{inside}/{name}", "--remount-ro", f"{inside}/{name}"]
    shared = sysconfig.get_config_var("INSTSONAME") or ""
    library = Path(sysconfig.get_config_var("LIBDIR") or "/", shared)
    if ".so" in shared and library.is_file():
        mounts += read_only(library, f"/python/lib/{shared}")
    return (*mounts, *read_only(GUESTS / "bridge.py", "/sandbox/bridge.py"))


def javascript() -> Mounts:
    """Node, and the parts of its library that distributions install beside it."""
    return (
        *libraries(),
        *read_only(find("node"), NODE),
        *("--ro-bind-try", "/usr/share/nodejs", "/usr/share/nodejs"),
        *read_only(GUESTS / "bridge.js", "/sandbox/bridge.js"),
    )


def compiler() -> Mounts:
    """g++ with its headers and libraries, the assembler and the linker, and a shell to call them."""
    prefixes = dict.fromkeys((Path("/usr"), find("g++").parent.parent))
    names = ("bin", "lib", "lib64", "libexec", "include")
    top = [Path("/", name) for name in names[:3]]
    return (*_existing(prefix / name for prefix in prefixes for name in names), *_existing(top))


def _existing(folders: Iterable[Path]) -> Mounts:
    """These folders where they exist; one that is a link (as /lib into /usr is) becomes the same link."""
    mounts: list[str] = []
    for folder in folders:
        if folder.is_symlink():
            mounts += ["--symlink", str(folder.readlink()), str(folder)]
        elif folder.is_dir():
            mounts += read_only(folder)
    return tuple(mounts)
