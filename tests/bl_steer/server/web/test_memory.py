"""What the web process keeps: threads share what they free, and it goes back to the system."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, os, sys, threading, time
from bl_steer.server.web.process import return_memory
return_memory(every_s=0.1)
libc, gate = ctypes.CDLL(None), threading.Barrier(6)
libc.malloc.restype = libc.fdopen.restype = ctypes.c_void_p
def block(size):
    return ctypes.c_void_p(libc.malloc(ctypes.c_size_t(size)))
def take():
    gate.wait()
    for _ in range(100):
        block(10_000)
    gate.wait()
threads = [threading.Thread(target=take) for _ in range(6)]
[one.start() for one in threads], [one.join() for one in threads]
libc.free(block(4_000_000))
for _ in range(20):
    block(500_000)
def pages():
    with open("/proc/self/statm") as numbers:
        return int(numbers.read().split()[1])
small = [block(20_000) for _ in range(2000)]
for one in small:
    ctypes.memset(one, 1, 20_000)
full = pages()
for number, one in enumerate(small):
    if number % 40:
        libc.free(one)
began = time.monotonic()
while full - pages() < 5000 and time.monotonic() - began < 20:
    time.sleep(0.05)
print(full - pages(), file=sys.stderr)
out = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, out), libc.fflush(out)
"""


@pytest.fixture(scope="module")
def told() -> subprocess.CompletedProcess[str]:
    """What the C library tells of its memory, and how many pages of 10,000 were given back."""
    command = [sys.executable, "-c", PROGRAM]
    return subprocess.run(command, capture_output=True, text=True, check=True)


def test_threads_of_the_web_process_share_their_memory(
    told: subprocess.CompletedProcess[str],
) -> None:
    """Six threads at a time would have seven parts of it."""
    assert told.stdout.count("<heap nr") == 2


def test_large_blocks_are_given_back(told: subprocess.CompletedProcess[str]) -> None:
    """The first that is freed would have those that are smaller laid among the others."""
    from_the_system = re.search(r'<total type="mmap" count="(\d+)"', told.stdout)
    assert from_the_system is not None
    assert int(from_the_system[1]) >= 20


def test_what_small_blocks_leave_between_others_is_given_back(
    told: subprocess.CompletedProcess[str],
) -> None:
    assert int(told.stderr) >= 5000
