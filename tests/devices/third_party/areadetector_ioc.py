"""An areaDetector IOC with an HDF5 plugin, and caproto's own motor records for the stage.

What EPICS areaDetector does is here as far as clients see it: a camera that counts while it
acquires, and a plugin that writes its frames to HDF5 files, in SWMR mode where that is asked for.
Process variables that the classes of `ophyd.areadetector` read and that mean nothing here are 0.

Usage: areadetector_ioc.py
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
from caproto import ChannelChar, ChannelDouble, ChannelEnum, ChannelInteger, ChannelString
from caproto.asyncio.server import run
from caproto.ioc_examples.fake_motor_record import FakeMotor

HEIGHT, WIDTH = 24, 32
BRIGHTEST = (6.0, 3.0)


def frames_at(x: float, y: float, number: int) -> Any:
    """Return what the camera sees at a place of the stage: a spot, brightest at `BRIGHTEST`."""
    r2 = (x - BRIGHTEST[0]) ** 2 + (y - BRIGHTEST[1]) ** 2
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    spot = np.exp(-((rows - 10) ** 2 + (columns - 20) ** 2) / 18.0)
    frame = 1.0 + 2000.0 * np.exp(-r2 / 18.0) * spot
    return np.repeat(frame[None].astype("<i4"), number, axis=0)


class Served(dict[str, Any]):
    """Channels by name; any other that begins with the detector's prefix is a number, at first 0.

    A put of a client is answered by the channel's readback, ``…_RBV``.
    """

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or str(name).startswith("AD:")

    def __missing__(self, name: str) -> Any:
        if name not in self:
            raise KeyError(name)
        self.pair(name.removesuffix("_RBV"), ChannelInteger, value=0)
        return self[name]

    def pair(self, name: str, kind: type, act: Any = None, **options: Any) -> None:
        """Serve a setpoint and its readback; a put of a client acts."""

        async def put() -> None:
            await self[name + "_RBV"].write(self[name].value)
            if act is not None:
                await act()

        self[name] = acting(kind, put)(**options)
        self[name + "_RBV"] = kind(**options)


def acting(kind: type, act: Callable[[], Any]) -> type:
    """Return a kind of channel that acts after each put of a client."""

    class Acting(kind):  # type: ignore[misc]
        async def write_from_dbr(self, *arguments: Any, **options: Any) -> None:
            await super().write_from_dbr(*arguments, **options)
            await act()

    return Acting


class Detector:
    """The camera ``AD:cam1:`` and its plugin ``AD:HDF1:``."""

    def __init__(self, channels: Served, x: Any, y: Any) -> None:
        self.channels, self.x, self.y = channels, x, y
        self.file: Any = None
        self.exposure: Any = None
        cam, hdf = "AD:cam1:", "AD:HDF1:"
        no, yes = "No", "Yes"
        pair, text = channels.pair, {"value": b"none", "max_length": 256}
        pair(cam + "Acquire", ChannelInteger, self.acquire, value=0)
        pair(cam + "AcquireTime", ChannelDouble, value=0.05)
        pair(cam + "NumImages", ChannelInteger, value=1)
        pair(cam + "ArrayCounter", ChannelInteger, value=0)
        pair(hdf + "Capture", ChannelInteger, self.capture, value=0)
        pair(hdf + "NumCapture", ChannelInteger, value=0)
        pair(hdf + "FileName", ChannelChar, **text)
        pair(hdf + "FilePath", ChannelChar, self.path, **text)
        pair(hdf + "FileTemplate", ChannelChar, **text)
        pair(hdf + "FileNumber", ChannelInteger, value=0)
        modes = ("Single", "Capture", "Stream")
        pair(hdf + "FileWriteMode", ChannelEnum, value="Single", enum_strings=modes)
        types = ("Int8", "UInt8", "Int16", "UInt16", "Int32", "UInt32")
        pair(cam + "DataType", ChannelEnum, value="Int32", enum_strings=types)
        pair(hdf + "EnableCallbacks", ChannelEnum, value="Disable",
                  enum_strings=("Disable", "Enable"))  # fmt: skip
        pair(hdf + "BlockingCallbacks", ChannelEnum, value=no, enum_strings=(no, yes))
        pair(hdf + "SWMRMode", ChannelEnum, value="Off", enum_strings=("Off", "On"))
        for name in ("AutoIncrement", "AutoSave", "LazyOpen", "StoreAttr", "StorePerform"):
            pair(hdf + name, ChannelEnum, value=no, enum_strings=(no, yes))
        pair(hdf + "NDArrayPort", ChannelString, value="CAM")
        channels[cam + "PortName_RBV"] = ChannelString(value="CAM")
        channels[hdf + "PortName_RBV"] = ChannelString(value="HDF1")
        channels[hdf + "PluginType_RBV"] = ChannelString(value="NDFileHDF5 ver3.4")
        channels[hdf + "FilePathExists_RBV"] = ChannelInteger(value=0)
        channels[hdf + "FullFileName_RBV"] = ChannelChar(**text)
        channels[hdf + "NumCaptured_RBV"] = ChannelInteger(value=0)
        for name, size in (("ArraySizeX_RBV", WIDTH), ("ArraySizeY_RBV", HEIGHT)):
            channels[cam + name] = ChannelInteger(value=size)
        for number, size in enumerate((WIDTH, HEIGHT, 0)):
            channels[hdf + f"ArraySize{number}_RBV"] = ChannelInteger(value=size)

    def value(self, name: str) -> Any:
        value = self.channels[name].value
        return value.rstrip("\0") if isinstance(value, str) else value

    async def put(self, name: str, value: Any) -> None:
        for channel in (name, name + "_RBV"):
            await self.channels[channel].write(value)

    async def path(self) -> None:
        folder = os.path.isdir(self.value("AD:HDF1:FilePath"))
        await self.channels["AD:HDF1:FilePathExists_RBV"].write(int(folder))

    async def capture(self) -> None:
        if self.value("AD:HDF1:Capture") and self.file is None:
            names = (self.value(f"AD:HDF1:File{part}") for part in ("Path", "Name", "Number"))
            name = self.value("AD:HDF1:FileTemplate") % tuple(names)
            await self.put("AD:HDF1:FileNumber", self.value("AD:HDF1:FileNumber") + 1)
            await self.channels["AD:HDF1:FullFileName_RBV"].write(name)
            self.file = h5py.File(name, "w", libver="latest")
            self.file.create_dataset(
                "/entry/data/data",
                (0, HEIGHT, WIDTH),
                "<i4",
                maxshape=(None, HEIGHT, WIDTH),
                chunks=(1, HEIGHT, WIDTH),
            )
            if self.value("AD:HDF1:SWMRMode") == "On":
                self.file.swmr_mode = True
        elif not self.value("AD:HDF1:Capture") and self.file is not None:
            self.file.close()
            self.file = None

    async def acquire(self) -> None:
        if self.value("AD:cam1:Acquire"):
            self.exposure = asyncio.ensure_future(self.expose())

    async def expose(self) -> None:
        number = self.value("AD:cam1:NumImages")
        await asyncio.sleep(self.value("AD:cam1:AcquireTime") * number)
        frames = frames_at(self.x.value, self.y.value, number)
        if self.file is not None:
            data = self.file["/entry/data/data"]
            data.resize(len(data) + number, axis=0)
            data[-number:] = frames
            data.flush()
            await self.channels["AD:HDF1:NumCaptured_RBV"].write(len(data))
        await self.put("AD:cam1:ArrayCounter", self.value("AD:cam1:ArrayCounter") + number)
        await self.put("AD:cam1:Acquire", 0)


def main() -> None:
    channels = Served()
    readbacks = []
    for axis in ("x", "y"):
        motor = FakeMotor(prefix=f"STAGE:{axis}", velocity=500.0, tick_rate_hz=200.0)
        channels.update(motor.pvdb)
        readbacks.append(motor.motor.field_inst.user_readback_value)
    Detector(channels, *readbacks)

    async def ready(_: Any) -> None:
        print("READY", flush=True)

    run(channels, startup_hook=ready)


if __name__ == "__main__":
    main()
