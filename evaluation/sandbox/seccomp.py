"""The system calls that programs in the sandbox may not make, as a filter for bubblewrap (seccomp(2)).

The namespaces already keep a program from everything of the host; the filter takes away what kernel bugs have
been reached through, what reaches memory that no limit counts, what namespaces do not cover (AF_VSOCK), and
what two programs could tell each other through the files that both may read.
"""

from __future__ import annotations

import platform
import struct

from evaluation.errors import SandboxError

# Name: number on x86_64, number on aarch64 (None where there is none). From asm/unistd.h.
_DENIED = {
    # Other processes, and namespaces of one's own.
    "kcmp": (312, 272),
    "ioprio_set": (251, 30),
    "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "seccomp": (317, 277),
    "setns": (308, 268),
    "unshare": (272, 97),
    # File systems.
    "chroot": (161, 51),
    "fanotify_init": (300, 262),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "mount": (165, 40),
    "listmount": (458, 458),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "pivot_root": (155, 41),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "statmount": (457, 457),
    "umount2": (166, 39),
    # What one program could tell another through a file that both may read: its events, and its cache.
    "cachestat": (451, 451),
    "fadvise64": (221, 223),
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
    "mincore": (27, 232),
    "preadv2": (327, 286),
    "readahead": (187, 213),
    "sync": (162, 81),
    "syncfs": (306, 267),
    # The network, and descriptors in sockets' queues.
    "sendmmsg": (307, 269),
    "sendmsg": (46, 211),
    "setsockopt": (54, 208),
    "socket": (41, 198),
    # Memory that belongs to no process, or outlives its mapping.
    "landlock_add_rule": (445, 445),
    "landlock_create_ruleset": (444, 444),
    "landlock_restrict_self": (446, 446),
    "map_shadow_stack": (453, 453),
    "fsetxattr": (190, 7),
    "lsetxattr": (189, 6),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "mq_open": (240, 180),
    "msgget": (68, 186),
    "semget": (64, 190),
    "setxattr": (188, 5),
    "shmget": (29, 194),
    "vmsplice": (278, 75),
    # Large and rarely needed parts of the kernel.
    "add_key": (248, 217),
    "bpf": (321, 280),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "futex_requeue": (456, 456),
    "futex_wait": (455, 455),
    "futex_waitv": (449, 449),
    "futex_wake": (454, 454),
    "io_setup": (206, 0),
    "keyctl": (250, 219),
    "lookup_dcookie": (212, 18),
    "mbind": (237, 235),
    "migrate_pages": (256, 238),
    "modify_ldt": (154, None),
    "move_pages": (279, 239),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "request_key": (249, 218),
    "set_mempolicy": (238, 237),
    "userfaultfd": (323, 282),
    "uselib": (134, None),
    # The machine.
    "acct": (163, 89),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "delete_module": (176, 106),
    "finit_module": (313, 273),
    "init_module": (175, 105),
    "ioperm": (173, None),
    "iopl": (172, None),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "nfsservctl": (180, 42),
    "reboot": (169, 142),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "settimeofday": (164, 170),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "sysfs": (139, None),
    "ustat": (136, None),
    "vhangup": (153, 58),
}
_FORK, _VFORK = (57, None), (58, None)
_CLONE, _CLONE3, _FLOCK = (56, 220), (435, 435), (73, 32)
_FCNTL, _FUTEX, _IOCTL, _MADVISE, _MMAP = (72, 25), (202, 98), (16, 29), (28, 233), (9, 222)
_SOCKETPAIR = (53, 199)
_PRCTL, _PRLIMIT64, _SETRLIMIT = (157, 167), (302, 261), (160, 164)
# Later calls are unknown to this table. Both architectures number alike since 424.
_FIRST_UNKNOWN = 463

# AUDIT_ARCH_* of linux/audit.h, and the column of the table.
_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}

# linux/bpf_common.h and linux/seccomp.h
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data, little-endian
_X32 = 0x40000000
# Answers: an errno, or success without anything done.
_DONE, _EPERM, _EAGAIN, _EINVAL, _ENOTTY, _ENOSYS = (_ERRNO | number for number in (0, 1, 11, 22, 25, 38))
# linux/socket.h, linux/sched.h
_AF_UNIX = 1
_CLONE_VFORK = 0x00004000
_CLONE_THREAD = 0x00010000
_CLONE_NEW = 0x7E020080  # CLONE_NEWUSER, NEWNS, NEWPID, NEWNET, NEWIPC, NEWUTS, NEWCGROUP and NEWTIME
# linux/mman.h: MAP_SHARED, MAP_DROPPABLE, MAP_GROWSDOWN and MAP_HUGETLB, which RLIMIT_DATA does not count
_UNCOUNTED_MAPPINGS = 0x00040109
_MADV_MERGEABLE = 12
# linux/prctl.h: PR_SET_SECCOMP, PR_SCHED_CORE and PR_SET_MEMORY_MERGE
_REFUSED_PRCTL = (22, 62, 67)
_RLIMIT_CORE = 4
# linux/futex.h: others find the futex by the page of the file that it is in
_FUTEX_PRIVATE_FLAG = 128
# linux/fcntl.h: F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC, F_GETPIPE_SZ and F_GET_SEALS
_HARMLESS_FCNTL = (0, 1, 2, 3, 4, 1030, 1032, 1034)
_LOCKING_FCNTL = (6, 7, 37, 38)  # F_SETLK and F_SETLKW, and both of open files
# asm-generic/ioctls.h: TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX and FIOCLEX
_HARMLESS_IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)


def program(*, forks: bool) -> bytes:
    """The filter for this machine's architecture: struct sock_filter[], as `bwrap --seccomp` reads it.

    With `forks` a program may start processes (a compiler does), without it only threads. What is denied
    fails with EPERM, clone3 and calls newer than the table with ENOSYS: C libraries then use older ones,
    whose flags a filter can see. A lock on a file is granted and not taken: in its box a program is alone.
    Raises SandboxError on an architecture without a table.
    """
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        known = " and ".join(_ARCHITECTURES)
        raise SandboxError(f"the sandbox knows the system calls of {known}, not those of {machine}")
    architecture, column = _ARCHITECTURES[machine]
    lines = [
        _line(_LOAD, _ARCHITECTURE),
        _line(_EQUAL, architecture, 1, 0),
        _line(_RETURN, _KILL),
        _line(_LOAD, _NUMBER),
    ]
    if machine == "x86_64":  # the x32 calls have numbers of their own
        lines += [_line(_AT_LEAST, _X32, 0, 1), _line(_RETURN, _KILL)]
    lines += [_line(_AT_LEAST, _FIRST_UNKNOWN, 0, 1), _line(_RETURN, _ENOSYS)]
    for numbers in (*_DENIED.values(), *(() if forks else (_FORK, _VFORK))):
        lines += _answered(numbers[column], _EPERM)
    lines += _answered(_CLONE3[column], _ENOSYS) + _answered(_FLOCK[column], _DONE)
    for numbers, position, cases, otherwise in (*_BY_ARGUMENT, _clone(forks=forks)):
        lines += _by_argument(numbers[column], position, cases, otherwise)
    lines.append(_line(_RETURN, _ALLOW))
    return b"".join(lines)


# A test of an argument, its operand, and the answer where it holds.
_Case = tuple[int, int, int]
# Calls that are answered by one argument: their numbers, its position, the cases, the answer in others.
_Rule = tuple[tuple[int, int], int, tuple[_Case, ...], int]
_BY_ARGUMENT: tuple[_Rule, ...] = (
    (_SOCKETPAIR, 0, ((_EQUAL, _AF_UNIX, _ALLOW),), _EPERM),
    (_MMAP, 3, ((_ANY_BIT, _UNCOUNTED_MAPPINGS, _EPERM),), _ALLOW),
    (_MADVISE, 2, ((_EQUAL, _MADV_MERGEABLE, _EINVAL),), _ALLOW),
    # Threads that wait for a thread's end ask again: they wait by its number, which is no private futex.
    (_FUTEX, 1, ((_ANY_BIT, _FUTEX_PRIVATE_FLAG, _ALLOW),), _EAGAIN),
    (
        *(_FCNTL, 1),
        (
            *((_EQUAL, command, _ALLOW) for command in _HARMLESS_FCNTL),
            *((_EQUAL, command, _DONE) for command in _LOCKING_FCNTL),
        ),
        _EINVAL,
    ),
    (_PRCTL, 0, tuple((_EQUAL, option, _EPERM) for option in _REFUSED_PRCTL), _ALLOW),
    # A limit of 0 on core dumps would call the host's collector again, see `box`.
    (_SETRLIMIT, 0, ((_EQUAL, _RLIMIT_CORE, _EPERM),), _ALLOW),
    (_PRLIMIT64, 1, ((_EQUAL, _RLIMIT_CORE, _EPERM),), _ALLOW),
    (_IOCTL, 1, tuple((_EQUAL, command, _ALLOW) for command in _HARMLESS_IOCTL), _ENOTTY),
)


def _clone(*, forks: bool) -> _Rule:
    if forks:
        return _CLONE, 0, ((_ANY_BIT, _CLONE_NEW, _EPERM),), _ALLOW
    # One that waits as after vfork looks as if it waited for a disk, and had no limit but the longest.
    refused = _CLONE_NEW | _CLONE_VFORK
    return _CLONE, 0, ((_ANY_BIT, refused, _EPERM), (_ANY_BIT, _CLONE_THREAD, _ALLOW)), _EPERM


def _answered(number: int | None, answer: int) -> list[bytes]:
    return [] if number is None else [_line(_EQUAL, number, 0, 1), _line(_RETURN, answer)]


def _by_argument(number: int, position: int, cases: tuple[_Case, ...], otherwise: int) -> list[bytes]:
    """Lines that answer a call by the lower half of an argument, which is all that the kernel looks at."""
    answers = [_line(_LOAD, _ARGUMENTS + 8 * position)]
    for test, operand, answer in cases:
        answers += [_line(test, operand, 0, 1), _line(_RETURN, answer)]
    answers.append(_line(_RETURN, otherwise))
    return [_line(_EQUAL, number, 0, len(answers)), *answers]


def _line(code: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, operand)
