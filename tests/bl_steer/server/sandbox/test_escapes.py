"""Ways out of a sandbox that programs have taken elsewhere: each is refused, and numbers go on."""

from __future__ import annotations

import errno
import json
import platform
import struct
import sys
from pathlib import Path

import pytest

from bl_steer.server.sandbox.limits import Limits
from bl_steer.server.sandbox.run import Outcome, run_in_sandbox, sandbox_problem
from bl_steer.server.sandbox.seccomp import MACHINES, filter_program
from bl_steer.server.sizes import MIB

pytestmark = [
    pytest.mark.skipif(bool(sandbox_problem()), reason=sandbox_problem() or "-"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="numbers of x86-64"),
]
LIMITS = Limits(time_s=60.0, memory=500 * MIB, disk=20 * MIB, processes=30, files=200, niceness=0)
NEWUSER = 0x1000_0000
CALLS = {  # number on x86-64 and arguments that would do something
    "unshare user": (272, NEWUSER),
    "unshare mount": (272, 0x2_0000),
    "unshare network": (272, 0x4000_0000),
    "unshare nothing": (272, 0),
    "setns": (308, 0, 0),
    "clone into a user namespace": (56, NEWUSER | 17, 0, 0, 0, 0),
    "mount": (165, 0, 0, 0, 0, 0),
    "umount2": (166, 0, 0),
    "pivot_root": (155, 0, 0),
    "chroot": (161, 0),
    "fsopen": (430, 0, 0),
    "open_tree": (428, -100, 0, 0),
    "move_mount": (429, -1, 0, -1, 0, 0),
    "mount_setattr": (442, -100, 0, 0, 0, 0),
    "ptrace traceme": (101, 0, 0, 0, 0),
    "ptrace attach": (101, 16, 1, 0, 0),
    "process_vm_readv": (310, 1, 0, 0, 0, 0, 0),
    "kcmp": (312, 1, 1, 0, 0, 0),
    "pidfd_getfd": (438, -1, 0, 0),
    "keyctl": (250, 0, -3, 1),
    "add_key": (248, 0, 0, 0, 0, -3),
    "request_key": (249, 0, 0, 0, -3),
    "io_uring_setup": (425, 8, 0),
    "io_uring_enter": (426, -1, 0, 0, 0, 0),
    "bpf": (321, 5, 0, 0),
    "perf_event_open": (298, 0, 0, -1, -1, 0),
    "userfaultfd": (323, 1),
    "open_by_handle_at": (304, -100, 0, 0),
    "name_to_handle_at": (303, -100, 0, 0, 0, 0),
    "finit_module": (313, -1, 0, 0),
    "kexec_load": (246, 0, 0, 0, 0),
    "modify_ldt": (154, 0, 0, 0),
    "unshare by its x32 number": (0x4000_0000 + 272, NEWUSER),
    "TIOCSTI": (16, 0, 0x5412, 0),
}
CALLER = """
import ctypes, json
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def call(*words):
    ctypes.set_errno(0)
    done = libc.syscall(*(ctypes.c_long(word) for word in words))
    return ctypes.get_errno() if done < 0 else 0
"""


def run(code: str, folder: Path) -> tuple[Outcome, list[str]]:
    folder.mkdir(exist_ok=True)
    said: list[str] = []
    outcome = run_in_sandbox(
        [sys.executable, "-c", code],
        readable={},
        writable=folder,
        limits=LIMITS,
        on_line=said.append,
    )
    return outcome, said


def test_each_call_that_escapes_are_made_of_is_refused(tmp_path: Path) -> None:
    code = CALLER + f"print(json.dumps({{k: call(*v) for k, v in {CALLS!r}.items()}}))"
    outcome, said = run(code, tmp_path / "out")
    assert outcome.cause == "ok", outcome
    refused = json.loads(said[0])
    assert {name: errno.errorcode.get(number) for name, number in refused.items()} == dict.fromkeys(
        CALLS, "EPERM"
    )


def test_no_setting_of_the_kernel_is_written(tmp_path: Path) -> None:
    """Files under /proc/sys ask for no capability where the machine's root owns them, as whom a
    server may run: by ``core_pattern`` a job would start programs outside."""
    code = """
import os
kept = open("/proc/sys/vm/swappiness").read()
for folder, folders, names in os.walk("/proc"):
    if folder == "/proc":
        folders[:] = [name for name in folders if not name.isdigit() and "self" not in name]
    for path in (os.path.join(folder, name) for name in names):
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            continue
        print(path)
print("read", kept.strip().isdigit())
"""
    outcome, said = run(code, tmp_path / "out")
    assert outcome.cause == "ok", outcome
    assert said == ["read True"]


def test_sockets_reach_the_sandboxes_own_network_alone(tmp_path: Path) -> None:
    families = {"vsock": 40, "alg": 38, "packet": 17, "unix": 1, "inet": 2, "netlink": 16}
    code = CALLER + (
        f"families = {families!r}\n"
        "print(json.dumps({k: call(41, v, 3 if v == 16 else 1, 0) for k, v in families.items()}))"
    )
    _, said = run(code, tmp_path / "out")
    answers = json.loads(said[0])
    assert {name for name, number in answers.items() if number == 0} == {"unix", "inet", "netlink"}
    assert answers["vsock"] == errno.EAFNOSUPPORT


@pytest.mark.parametrize(
    "program",
    [
        ["unshare", "--user", "--map-root-user", "true"],
        ["unshare", "--mount", "true"],
        ["nsenter", "--target", "1", "--user", "true"],
        ["bwrap", "--unshare-user", "--ro-bind", "/", "/", "true"],
        ["mount", "-t", "proc", "proc", "/tmp"],
    ],
    ids=" ".join,
)
def test_programs_of_the_system_make_no_namespace_either(
    tmp_path: Path, program: list[str]
) -> None:
    code = f"import subprocess; print(subprocess.run({program!r}, capture_output=True).returncode)"
    outcome, said = run(code, tmp_path / "out")
    assert outcome.cause == "ok", outcome
    assert int(said[0]) != 0


def test_the_old_way_into_the_kernel_ends_the_program(tmp_path: Path) -> None:
    """Calls of 32 bits have other numbers, by which a filter could be passed."""
    code = CALLER + (
        "import mmap\n"
        "memory = mmap.mmap(-1, 4096, prot=7)\n"
        "memory.write(bytes.fromhex('b814000000cd80c3'))  # mov eax, 20; int 0x80; ret\n"
        "at = ctypes.addressof(ctypes.c_char.from_buffer(memory))\n"
        "print('before', flush=True)\n"
        "print('after', ctypes.CFUNCTYPE(ctypes.c_int)(at)(), flush=True)\n"
    )
    outcome, said = run(code, tmp_path / "out")
    assert said == ["before"]
    assert outcome.cause == "crashed"


def test_threads_children_and_numbers_go_on(tmp_path: Path) -> None:
    code = (
        "import subprocess, threading, multiprocessing as mp\n"
        "import numpy as np, scipy.linalg, torch\n"
        "work = lambda: np.linalg.svd(np.eye(200))\n"
        "threads = [threading.Thread(target=work) for _ in range(4)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\n"
        "assert subprocess.run(['true']).returncode == 0\n"
        "with mp.get_context('fork').Pool(2) as pool: assert pool.map(abs, [-1, 2]) == [1, 2]\n"
        "print(float(torch.ones(100, 100).sum()), scipy.linalg.det(np.eye(3)))\n"
    )
    outcome, said = run(code, tmp_path / "out")
    assert (outcome.cause, said) == ("ok", ["10000.0 1.0"]), outcome


@pytest.mark.parametrize("machine", MACHINES)
def test_every_path_through_the_filter_ends_in_an_answer(machine: str) -> None:
    program = filter_program(machine)
    steps = list(struct.iter_unpack("=HBBI", program))
    assert len(steps) < 4096  # BPF_MAXINSNS
    for place, (code, if_so, if_not, _) in enumerate(steps):
        if code & 7 == 5:  # a jump
            assert place + 1 + max(if_so, if_not) < len(steps)
    assert steps[-1][0] == 0x06


def test_a_machine_whose_calls_are_not_known_runs_nothing() -> None:
    with pytest.raises(RuntimeError, match="got riscv64; run jobs on one of x86_64, aarch64"):
        filter_program("riscv64")
