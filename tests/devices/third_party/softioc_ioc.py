"""A pythonSoftIOC: analogue outputs as axes, a counter, an image in a waveform.

Usage: softioc_ioc.py
"""

from __future__ import annotations

import asyncio
import math
import threading
from typing import Any

import numpy as np
from softioc import asyncio_dispatcher, builder, softioc

HEIGHT, WIDTH = 24, 32
BRIGHTEST = (6.0, 3.0)
MOVE_S = EXPOSURE_S = 0.03


def main() -> None:
    dispatcher = asyncio_dispatcher.AsyncioDispatcher()
    builder.SetDeviceName("SOFT")
    readbacks = {}

    def axis(name: str) -> None:
        readback = builder.aIn(f"{name}:RBV", PREC=3)
        done = builder.boolIn(f"{name}:DMOV", "moving", "done", initial_value=1)
        readbacks[name] = readback

        async def move(position: float) -> None:
            done.set(0)
            await asyncio.sleep(MOVE_S)
            readback.set(position)
            done.set(1)

        builder.aOut(name, on_update=move, always_update=True, initial_value=0, DRVL=0, DRVH=10)

    axis("X")
    axis("Y")
    image = builder.WaveformIn("IMG", length=HEIGHT * WIDTH, FTVL="LONG")
    counts = builder.aIn("CNT")
    busy = builder.boolIn("BUSY", "idle", "busy")

    async def expose(value: int) -> None:
        if not value:
            return
        busy.set(1)
        await asyncio.sleep(EXPOSURE_S)
        x, y = (readbacks[name].get() for name in ("X", "Y"))
        strength = math.exp(-((x - BRIGHTEST[0]) ** 2 + (y - BRIGHTEST[1]) ** 2) / 18.0)
        rows, columns = np.mgrid[:HEIGHT, :WIDTH]
        spot = np.exp(-((rows - 10) ** 2 + (columns - 20) ** 2) / 18.0)
        frame: Any = (1.0 + 2000.0 * strength * spot).astype(np.int32)
        image.set(frame.ravel())
        counts.set(float(frame.sum()))
        busy.set(0)

    builder.aOut("ACQ", on_update=expose, initial_value=0, always_update=True)
    builder.LoadDatabase()
    softioc.iocInit(dispatcher)
    print("READY", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
