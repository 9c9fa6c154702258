"""Images over PV Access: a camera and two axes, served by p4p.

Usage: ntndarray_server.py
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from p4p.nt import NTNDArray, NTScalar
from p4p.server import Server
from p4p.server.thread import SharedPV

HEIGHT, WIDTH = 24, 32
BRIGHTEST = (6.0, 3.0)
EXPOSURE_S = 0.03


def main() -> None:
    axes = {name: SharedPV(nt=NTScalar("d"), initial=0.0) for name in ("x", "y")}
    acquire = SharedPV(nt=NTScalar("i"), initial=0)
    image = SharedPV(nt=NTNDArray(), initial=np.zeros((HEIGHT, WIDTH), "u2"))

    @axes["x"].put
    @axes["y"].put
    def move(pv: Any, operation: Any) -> None:
        pv.post(operation.value(), timestamp=time.time())
        operation.done()

    @acquire.put
    def expose(pv: Any, operation: Any) -> None:
        operation.done()
        time.sleep(EXPOSURE_S)
        x, y = (float(axes[name].current()) for name in ("x", "y"))
        strength = np.exp(-((x - BRIGHTEST[0]) ** 2 + (y - BRIGHTEST[1]) ** 2) / 18.0)
        rows, columns = np.mgrid[:HEIGHT, :WIDTH]
        spot = np.exp(-((rows - 10) ** 2 + (columns - 20) ** 2) / 18.0)
        image.post((1.0 + 2000.0 * strength * spot).astype("u2"), timestamp=time.time())

    served = {"PVA:image": image, "PVA:acquire": acquire}
    with Server(providers=[served | {f"PVA:{name}": pv for name, pv in axes.items()}]):
        print("READY", flush=True)
        while True:
            time.sleep(1.0)


if __name__ == "__main__":
    main()
