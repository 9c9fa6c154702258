"""databroker's old habits on our store, for those who have them in their fingers."""

from __future__ import annotations

import os
from typing import Any

from bl_steer.store.store import Store

__all__ = ["open_broker"]


def open_broker(path: str | os.PathLike[str] = "./bl_steer_data") -> Any:
    """Open a store as a ``databroker.v1.Broker``: ``db[-1].table()``, ``db[scan_id].start``.

    Parameters
    ----------
    path : the folder of the store, as for `Store.open`

    Notes
    -----
    The trap: touching ``.v1`` or ``.v2`` turns *every* Tiled client of the process to the old
    interface (bluesky-tiled-plugins registers its classes once for all), also one that was opened
    before. So call this in a process of its own: a script, a second terminal, a notebook that does
    nothing else. In the session that measures, ``store.catalog`` has the same look-ups: ``[-1]``,
    ``[scan_id]``, ``["partial uid"]``. The store stays open until the process ends.
    """
    # Only here: the habits of this module are for one process, its import for many.
    from databroker.v1 import Broker

    return Broker(Store.open(path).catalog)
