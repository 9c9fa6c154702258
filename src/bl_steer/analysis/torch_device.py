"""Where networks compute: on a GPU where there is one, else on the processor."""

from __future__ import annotations

import torch

from bl_steer.settings import Settings

__all__ = ["computing_device", "processes_for_networks"]


def computing_device() -> torch.device:
    """Return the device that ``BL_STEER_DEVICE`` names; by default a GPU if torch sees one.

    Digests repeat on one kind of device only: name ``cpu`` where a machine without a GPU must
    find the same bits.

    Raises
    ------
    ValueError
        When a GPU is asked for and torch sees none.
    """
    name = Settings().device
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"BL_STEER_DEVICE must name a device that torch {torch.__version__} sees, got 'cuda' "
            "and no GPU; install a CUDA build of torch, or set it to 'cpu' or 'auto'"
        )
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def processes_for_networks() -> int | None:
    """Return how many processes `each_result` may take where networks compute: one for a GPU."""
    return None if computing_device().type == "cpu" else 1
