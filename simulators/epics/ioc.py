"""The beamline behind Channel Access: a soft IOC with the process variables of `devices.beamline`.

``bl-steer ioc`` serves a simulated sample in real time, so that the real device classes can be
tried over the network, without a beamline. `simulators.film.beamline` needs no network and no time.
"""

from __future__ import annotations

import asyncio
import math
import os
import signal
import socket
from collections.abc import Callable
from time import monotonic
from typing import Any

import numpy as np
from caproto import ChannelDouble, ChannelEnum, ChannelInteger
from caproto.asyncio.server import Context

from devices.beamline import PREFIX
from simulators.epics.motor_record import ActingEnum, ActingString, HurriedTime, MotorRecord
from simulators.film.beamline import ALIGNED_DEG, MARGIN, READOUT_S, SETTLE_S, SPEED
from simulators.film.faults import Faults
from simulators.film.sample import Sample

__all__ = ["process_variables", "serve"]

CIRCLES = ("MU", "ETA", "CHI", "PHI", "NU", "DELTA")
MAX_FRAMES = 64
"""Frames of a point that ``ArrayData`` has room for."""
RING_MA = 100.0
LOOPBACK = "127.0.0.1"


class _Detector:
    """An area detector and its beam monitor; exposes whatever the stage holds in the beam.

    Each frame sees where stage and rocking circle are in the middle of its exposure. A series that
    was stopped leaves its shots to the next one: repeated after a pause, they keep their noise.
    A put of 1 to ``Acquire`` while it exposes is ignored, as areaDetector's drivers do.

    The beam drifts with the time that the beamline in process takes for the same points, without
    what a client adds: the same points give the same counts there and here.
    """

    def __init__(
        self,
        sample: Sample,
        motors: tuple[MotorRecord, MotorRecord, MotorRecord],
        time: HurriedTime,
        exposure_s: float,
        faults: Faults,
    ) -> None:
        self._sample, self._motors, self._time = sample, motors, time
        self.faults = faults
        self._shot = self._turn = 0
        self._beam_s = 0.0
        self._place = self._where(0.0)
        size = math.prod(sample.axes.shape)
        self.acquire = ActingEnum(self._act, value="Done", enum_strings=("Done", "Acquire"))
        self.busy = ChannelEnum(value="Done", enum_strings=("Done", "Acquiring"))
        self.state = ChannelEnum(
            value="Idle",
            enum_strings=("Idle", "Acquire", "Readout", "Correct", "Saving", "Aborting", "Error"),
        )
        self.exposure_time = ChannelDouble(value=exposure_s, units="s", precision=3)
        self.n_frames = ChannelInteger(value=1, lower_ctrl_limit=1, upper_ctrl_limit=MAX_FRAMES)
        self.image = ChannelDouble(value=np.zeros(size), max_length=MAX_FRAMES * size)
        self.counts = ChannelDouble(value=0.0, units="counts")

    async def _act(self) -> None:
        if self.acquire.raw_value == 0:
            await self._end()
        elif self.busy.raw_value == 0:
            await self._expose()

    async def _expose(self) -> None:
        self._turn = turn = self._turn + 1
        if jump := self.faults.now("clock"):
            self._time.skip(jump.size)
        await self.state.write(1)
        await self.busy.write(1, timestamp=self._time.stamp)
        if lost := self.faults.now("disconnect", "det"):
            self.faults.unplug(lost.size)
        if lost or self.faults.now("hang"):
            self.faults.next()
            return
        shots = []
        place = self._where(self._time.elapsed_s)
        way = max(abs(here - there) for here, there in zip(place, self._place, strict=True))
        beam_s = self._beam_s + (way / SPEED + SETTLE_S)
        begun_s, exposure_s = self._time.elapsed_s, float(self.exposure_time.value)
        for shot in range(self._shot, self._shot + int(self.n_frames.value)):
            middle_s = begun_s + 0.5 * exposure_s
            await self._time.sleep_until(middle_s)
            x, y, eta = self._where(middle_s)
            await self._time.sleep_until(begun_s + exposure_s)
            if turn != self._turn:
                return
            shots.append(
                self._sample.expose(
                    x,
                    y,
                    exposure_s=exposure_s,
                    time_s=beam_s,
                    shot=shot,
                    rocking_deg=eta - ALIGNED_DEG,
                )
            )
            begun_s += exposure_s
            beam_s += exposure_s
        await self._time.sleep(READOUT_S)
        if turn == self._turn:
            self._shot += len(shots)
            self._beam_s, self._place = beam_s + READOUT_S, self._where(begun_s)
            frames, counts = self.faults.spoil(
                np.stack([frame for frame, _ in shots]), [counts for _, counts in shots]
            )
            self.faults.next()
            await self.image.write(frames.ravel(), timestamp=self._time.stamp)
            await self.counts.write(counts, timestamp=self._time.stamp)
            await self._end()

    def _where(self, time_s: float) -> tuple[float, ...]:
        """Return the stage's positions and the rocking circle's angle at a time."""
        return tuple(motor.position_at(time_s) for motor in self._motors)

    async def _end(self) -> None:
        self._turn += 1
        await self.acquire.write(0)
        await self.state.write(0)
        await self.busy.write(0, timestamp=self._time.stamp)


def process_variables(
    sample: Sample,
    *,
    prefix: str = PREFIX,
    speedup: float = 1.0,
    exposure_s: float = 10.0,
    faults: Faults | None = None,
) -> dict[str, Any]:
    """Return the channels by name, with the stage at the sample's lower corner.

    Parameters
    ----------
    sample : what is under the beam
    prefix : of the names
    speedup : 1 is real time
    exposure_s : exposure time of a frame, s
    faults : what goes wrong; a put to ``{prefix}FAULTS`` sets others, counted from there on; one to
        ``{prefix}RING:CURRENT`` loses the ring's current, of which nothing else takes notice

    Raises
    ------
    ValueError
        For a speedup that is no positive number.
    """
    if not 0.0 < speedup < math.inf:
        raise ValueError(f"speedup must be positive and finite, got {speedup:g}; try 1")
    time, faults = HurriedTime(speedup), Faults() if faults is None else faults
    corners = [(float(positions.min()), float(positions.max())) for positions in sample.grid]
    x, y = (
        MotorRecord(
            time,
            limits=(low - MARGIN, high + MARGIN),
            start=low,
            unit=sample.unit,
            faults=faults,
            name=name,
        )
        for name, (low, high) in zip("xy", corners, strict=True)
    )
    circles = {
        f"DIF:{name}": MotorRecord(
            time,
            limits=(-180.0, 180.0),
            start=ALIGNED_DEG,
            unit="deg",
            faults=faults,
            name=name.lower(),
        )
        for name in CIRCLES
    }
    detector = _Detector(sample, (x, y, circles["DIF:ETA"]), time, exposure_s, faults)
    switchboard = ActingString(lambda: faults.set(str(switchboard.value).split()), value="")
    channels = {
        f"{record}{field}": channel
        for record, motor in {"STG:X": x, "STG:Y": y, **circles}.items()
        for field, channel in motor.fields().items()
    }
    channels |= {
        "DET:Acquire": detector.acquire,
        "DET:AcquireBusy": detector.busy,
        "DET:DetectorState_RBV": detector.state,
        "DET:AcquireTime": detector.exposure_time,
        "DET:NumImages": detector.n_frames,
        "DET:ArrayData": detector.image,
        "MON:COUNTS": detector.counts,
        "RING:CURRENT": ChannelDouble(value=RING_MA, units="mA", precision=1),
        "FAULTS": switchboard,
    }
    return {f"{prefix}{name}": channel for name, channel in channels.items()}


class _PromptContext(Context):
    """Caproto's server, which answers small puts at once: .4 ms instead of 22."""

    _silent_until = 0.0

    async def server_accept_loop(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await super().server_accept_loop(sock)

    def unplug(self, seconds: float) -> None:
        """Lose all clients, and answer no search for a while."""
        self._silent_until = monotonic() + seconds
        for circuit in list(self.circuits):
            circuit.client.close()

    async def _broadcaster_queue_iteration(self, addr: Any, commands: Any) -> None:
        if monotonic() >= self._silent_until:
            await super()._broadcaster_queue_iteration(addr, commands)


def serve(
    channels: dict[str, Any], *, on_ready: Callable[[], None], faults: Faults | None = None
) -> None:
    """Serve until SIGTERM or SIGINT; call `on_ready` once clients are answered.

    Clients of this machine only, unless ``EPICS_CAS_INTF_ADDR_LIST`` says otherwise: the names may
    be those of a real beamline. `faults` are those of the channels; they lose the connections.
    """
    asyncio.run(_serve(channels, on_ready, Faults() if faults is None else faults))


async def _serve(channels: dict[str, Any], on_ready: Callable[[], None], faults: Faults) -> None:
    interfaces = None if os.environ.get("EPICS_CAS_INTF_ADDR_LIST") else [LOOPBACK]
    if interfaces:
        os.environ.setdefault("EPICS_CAS_AUTO_BEACON_ADDR_LIST", "NO")

    async def ready(_: Any) -> None:
        on_ready()

    context = _PromptContext(channels, interfaces)
    faults.unplug = context.unplug
    server = asyncio.ensure_future(context.run(startup_hook=ready))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, server.cancel)
    await server
