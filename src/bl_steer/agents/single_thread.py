"""One torch thread for the agents' small matrices."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["single_thread"]


@contextmanager
def single_thread() -> Iterator[None]:
    """Run torch in one thread inside, and restore the setting after.

    The order of a sum, hence its last bit, may depend on the number of threads; and on a loaded
    machine two threads made a fit of .1 s take 9 s.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
