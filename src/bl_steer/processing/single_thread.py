"""One thread for an analysis, whatever it computes with: results that repeat to the last bit.

The agents' sibling, `bl_steer.agents.single_thread`, is for torch alone: to look for the other
libraries at every decision would cost time, and nothing else computes there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

__all__ = ["single_thread"]


@contextmanager
def single_thread() -> Iterator[None]:
    """Keep BLAS, OpenMP and torch (where it is loaded) to one thread inside; restore after.

    The order of a sum, hence its last bit, may depend on the number of threads. A library that is
    loaded only inside is not reached: import it before.
    """
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch is not None else 0
    with threadpool_limits(limits=1):
        if torch is not None:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if torch is not None:
                torch.set_num_threads(before)
