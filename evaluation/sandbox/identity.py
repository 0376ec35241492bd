"""As whom a box runs: as a user who owns nothing of the host, whoever evaluates.

Root's programs run as a user of their own, picked at random for each box from numbers that nobody is given:
where root has the rights for it, without a user namespace, since in one the program would be root to the
files outside; elsewhere, as in most containers, bubblewrap itself runs as that user. Anybody else's programs
run in a user namespace; to the files outside they are that user, so that no file of the host may be mounted
other than read-only, nor a device be mounted, nor a descriptor of a host's file be inherited.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from evaluation.errors import SandboxError
from evaluation.sandbox.toolchains import Mounts, find, read_only

# Not 65534, by which a user namespace shows the owners that it does not know.
_NOBODY = "65533"
_NAMESPACES = (
    *("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"),
    *("--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL", "--hostname", "sandbox"),
)
_USER_NAMESPACE = ("--unshare-user", "--disable-userns", "--uid", _NOBODY, "--gid", _NOBODY)
# CAP_SETGID, CAP_SETUID, CAP_SETPCAP, CAP_NET_ADMIN and CAP_SYS_ADMIN of linux/capability.h.
_NEEDED_CAPABILITIES = sum(1 << number for number in (6, 7, 8, 12, 21))
# Free of the ranges of distributions, systemd and containers; and in a container with few users, of Debian's.
_STRANGERS = (range(0x7000_0000, 0x7F00_0000), range(65_000, 65_534))


@dataclass(frozen=True)
class Identity:
    """`user` is whom bubblewrap runs as, if not its caller; `entry` comes before the command in the box."""

    arguments: tuple[str, ...]
    mounts: Mounts = ()
    entry: tuple[str, ...] = ()
    user: int | None = None


def identity() -> Identity:
    """That of one box. Raises SandboxError where root has no other user to run it as."""
    if os.geteuid():
        return Identity((*_NAMESPACES, *_USER_NAMESPACE))
    number = _stranger()
    if _capabilities() & _NEEDED_CAPABILITIES != _NEEDED_CAPABILITIES:
        return Identity((*_NAMESPACES, *_USER_NAMESPACE), user=number)
    return Identity(
        (*_NAMESPACES, "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"),
        read_only(find("setpriv"), "/sandbox/setpriv"),
        (
            *("/sandbox/setpriv", f"--reuid={number}", f"--regid={number}", "--clear-groups"),
            *("--inh-caps=-all", "--ambient-caps=-all", "--"),
        ),
    )


def _stranger() -> int:
    """A user's and group's number that exists here."""
    for numbers in _STRANGERS:
        if all(_mapped(numbers, Path("/proc/self", name)) for name in ("uid_map", "gid_map")):
            return secrets.choice(numbers)
    raise SandboxError("root's programs need a user of their own, and this container has fewer than 65,534")


def _mapped(numbers: range, table: Path) -> bool:
    rows = [[int(word) for word in line.split()] for line in table.read_text(encoding="ascii").splitlines()]
    return any(first <= numbers[0] and numbers[-1] < first + count for first, _, count in rows)


def _capabilities() -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0
