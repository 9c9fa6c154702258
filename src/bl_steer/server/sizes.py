"""Sizes of files, in bytes, as settings give them and as readers want them."""

from __future__ import annotations

__all__ = ["MIB", "amount"]

MIB = 2**20


def amount(size: float) -> str:
    """Return a size in bytes as a reader wants it.

    Examples
    --------
    >>> amount(2_500_000)
    '2.4 MiB'
    >>> amount(20_480 * MIB)
    '20 GiB'
    """
    if size < 1024:
        return f"{size:.0f} B"
    if size < MIB:
        return f"{size / 1024:.0f} KiB"
    unit = "MiB" if size < 1024 * MIB else "GiB"
    shown = f"{size / MIB / (1 if unit == 'MiB' else 1024):,.1f}"
    return f"{shown.removesuffix('.0')} {unit}"
