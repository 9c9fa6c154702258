"""A client that maps in flight, notes each cell that is stored, and carries a broken map on.

Usage: flight_client.py PREFIX DATA_DIR NOTES [UID]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from bl_steer.agents import Space
from bl_steer.session import epics, open_session

CELLS, ROWS = 8, 3
GRID = Space.grid([50.0 + 5.0 * i for i in range(CELLS)], [60.0, 80.0, 100.0])
EXPOSURE_S = 0.2
CONFIRM_S = 0.5


def main(prefix: str, data_dir: str, notes: str, uid: str = "") -> None:
    """Fly over the grid, or over what is left of it, and confirm the brightest spot."""
    with (
        open_session(epics(prefix=prefix, settle_s=0.02), data_dir=data_dir, progress=False) as it,
        Path(notes).open("a", buffering=1) as file,
    ):

        def note(name: str, doc: dict[str, Any]) -> None:
            if name == "event" and "det_total" in doc["data"]:
                file.write(".")
                file.flush()

        it.watch(note)
        options: dict[str, Any] = {"resumes": uid} if uid else {"grid": GRID, "target": "total"}
        if not uid:
            options |= {"exposure_s": EXPOSURE_S, "confirm": 1, "confirm_exposure_s": CONFIRM_S}
        _, flown = it.run(it.fly_map(**options))
        print(flown.best_x, flown.best_y, flown.n_measured)


if __name__ == "__main__":
    main(*sys.argv[1:])
