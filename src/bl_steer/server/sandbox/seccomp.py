"""The filter of system calls in a sandbox: what no analysis needs and escapes are made of.

The kernel asks it at each call of a sandboxed program, by `seccomp(2)`; bubblewrap loads it, last
of all and for good. It refuses what makes namespaces and mounts, looks into other processes, holds
keys of the kernel, loads code or watches into it (bpf, perf, io_uring, userfaultfd), or reaches the
host beside the network namespace (vsock). All else goes on, so that numerical libraries and their
threads find what they are used to.

References
----------
Linux, include/uapi/linux/seccomp.h and asm/unistd.h; McCanne & Jacobson, The BSD packet filter,
USENIX Winter 1993.
"""

from __future__ import annotations

import errno
import os
import platform
import struct
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["MACHINES", "filter_program", "opened_filter"]

MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""What the kernel calls each kind of machine, and its column below."""
REFUSED = {
    # namespaces and mounts
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    # other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440),
    # keys
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    # code and watches in the kernel
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "fanotify_init": (300, 262),
    "memfd_secret": (447, 447),
    # the machine
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "syslog": (103, 116),
    "vhangup": (153, 58),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "lookup_dcookie": (212, 18),
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
}
"""Number of each call on each kind of machine; None where it has none."""
CLONE, CLONE3, SOCKET, IOCTL = (56, 220), (435, 435), (41, 198), (16, 29)
NAMESPACES = 0x7E02_0000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET."""
FAMILIES = (1, 2, 10, 16)
"""Of sockets that may be made: UNIX, INET, INET6, NETLINK, all of the sandbox's own network."""
TERMINAL_WRITES = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX, which type for the user of a terminal."""
X32 = 0x4000_0000
"""From here on the same calls of x86-64 have second numbers."""

LOAD, EQUAL, AT_LEAST, ANY_BIT, ANSWER = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE, FIRST, SECOND = 0, 4, 16, 24
"""Where a call's number, its machine and the lower halves of its arguments lie."""
ALLOW, KILL, ERROR = 0x7FFF_0000, 0x8000_0000, 0x0005_0000


def filter_program(machine: str | None = None) -> bytes:
    """Return the filter as the kernel takes it.

    Parameters
    ----------
    machine : such as ``x86_64``; this one by default

    Raises
    ------
    RuntimeError
        Where the numbers of its system calls are not known.
    """
    machine = machine or platform.machine()
    if machine not in MACHINES:
        raise RuntimeError(
            f"a sandbox must know the system calls, got {machine}; run jobs on one of "
            f"{', '.join(MACHINES)}"
        )
    architecture, column = MACHINES[machine]
    refuse = (ANSWER, 0, 0, ERROR | errno.EPERM)
    allow = (ANSWER, 0, 0, ALLOW)
    steps = [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 1, 0, architecture),
        (ANSWER, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER),
        *[(AT_LEAST, 0, 1, X32), refuse],
    ]
    for numbers in REFUSED.values():
        if (number := numbers[column]) is not None:
            steps += [(EQUAL, 0, 1, number), refuse]
    # Its flags lie in memory, where no filter sees them; libraries fall back to clone.
    steps += [(EQUAL, 0, 1, CLONE3[column]), (ANSWER, 0, 0, ERROR | errno.ENOSYS)]
    steps += [(EQUAL, 0, 4, CLONE[column]), (LOAD, 0, 0, FIRST)]
    steps += [(ANY_BIT, 0, 1, NAMESPACES), refuse, allow]
    n = len(FAMILIES)
    steps += [(EQUAL, 0, n + 3, SOCKET[column]), (LOAD, 0, 0, FIRST)]
    steps += [(EQUAL, n - k, 0, family) for k, family in enumerate(FAMILIES)]
    steps += [(ANSWER, 0, 0, ERROR | errno.EAFNOSUPPORT), allow]
    n = len(TERMINAL_WRITES)
    steps += [(EQUAL, 0, n + 3, IOCTL[column]), (LOAD, 0, 0, SECOND)]
    steps += [(EQUAL, n - k, 0, request) for k, request in enumerate(TERMINAL_WRITES)]
    steps += [allow, refuse, allow]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


@contextmanager
def opened_filter() -> Iterator[int]:
    """Open the filter as a file without a name, for one bubblewrap; its number is inherited."""
    number = os.memfd_create("filter")
    try:
        os.write(number, filter_program())
        os.lseek(number, 0, os.SEEK_SET)
        yield number
    finally:
        os.close(number)
