"""One thread for what must repeat to the last bit, whatever it computes with.

The order of a sum, hence its last bit, may depend on the number of threads; and on a loaded machine
two threads made a fit of .1 s take 9 s. Serves all packages.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from threadpoolctl import ThreadpoolController

__all__ = ["single_thread"]


class _Pools:
    """The thread pools of the libraries that are loaded: to look for them takes 10 ms and more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_modules = 0
        self._controller: Any = None
        self._n_inside = 0
        self._held: Any = None
        self._torch_threads = 0

    def enter(self) -> Any:
        """Hold BLAS and torch to one thread, and return what holds OpenMP in this thread."""
        with self._lock:
            if self._n_inside == 0 and self._n_modules != len(sys.modules):
                self._n_modules = len(sys.modules)
                self._controller = ThreadpoolController()
            torch = None if self._torch_threads else sys.modules.get("torch")
            if torch is not None:
                self._torch_threads = torch.get_num_threads()
            held = self._controller.select(user_api="openmp").limit(limits=1)
            if self._n_inside == 0:
                self._held = self._controller.select(user_api="blas").limit(limits=1)
            if torch is not None:  # last: it sets OpenMP of this thread, too
                torch.set_num_threads(1)
            self._n_inside += 1
            return held

    def leave(self, held: Any) -> None:
        """Restore OpenMP in this thread, and BLAS and torch once no thread is inside."""
        held.restore_original_limits()
        with self._lock:
            self._n_inside -= 1
            if self._n_inside == 0:
                self._held.restore_original_limits()
                if self._torch_threads:
                    sys.modules["torch"].set_num_threads(self._torch_threads)
                    self._torch_threads = 0


_POOLS = _Pools()  # of the process: BLAS and torch have one number for all threads that call them


@contextmanager
def single_thread() -> Iterator[None]:
    """Keep BLAS, OpenMP and torch (where it is loaded) to one thread inside; restore after.

    Threads may be inside at the same time, and one of them more than once. A library that is loaded
    only inside is not reached: import it before.
    """
    held = _POOLS.enter()
    try:
        yield
    finally:
        _POOLS.leave(held)
