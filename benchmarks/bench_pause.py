"""How long a pause takes, from the request until the RunEngine is paused, at any moment of a run.

    python benchmarks/bench_pause.py [PAUSES]

Each run is paused at moments drawn over its wall-clock time, and resumed, `PAUSES` times. With the
simulated film no time passes in motion and exposure: pauses meet messages, documents, files and
decisions. With ophyd.sim's axes and over Channel Access (a soft IOC on the loopback, started here)
motion and exposure take real time. A pause waits until what moves has come to rest: the IOC's
motors need up to their acceleration time, .1 s. Exposures last .5 s there.
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from bluesky.utils import RunEngineInterrupted
from ophyd.sim import SynAxis, SynGauss

from bl_steer.session import Session, epics, open_session
from plans import find_hotspot, map_sample
from plans.stubs import rocking_scan, rocking_sweep

LIMIT_S = 0.3
BETWEEN_S = 1.0
"""Mean time between a run's going on and the next request, s."""
PREFIX = "PAUSE:"
ENVIRONMENT = {
    "EPICS_CA_SERVER_PORT": "28711",
    "EPICS_CA_REPEATER_PORT": "28712",
    "EPICS_CA_ADDR_LIST": "127.0.0.1",
    "EPICS_CA_AUTO_ADDR_LIST": "NO",
    "EPICS_CAS_INTF_ADDR_LIST": "127.0.0.1",
    "EPICS_CAS_AUTO_BEACON_ADDR_LIST": "NO",
    "EPICS_CA_MAX_ARRAY_BYTES": "10000000",
}
"""Of the IOC and its client: the loopback alone, on ports of their own."""


def paused_s(session: Session, plan: Callable[[], Any], n_pauses: int) -> list[float]:
    """Return how long each of `n_pauses` pauses took, s; runs follow each other until then."""
    engine: Any = session.RE
    rng, taken = random.Random(0), list[float]()
    paused, over = threading.Event(), threading.Event()

    def watch(state: str, _: str) -> None:
        if state == "paused":
            paused.set()

    def request() -> None:
        while not over.wait(rng.uniform(0.0, 2.0 * BETWEEN_S)):
            paused.clear()
            began = time.perf_counter()
            with contextlib.suppress(Exception):  # between two runs there is nothing to pause
                engine.request_pause()
                if paused.wait(60.0):
                    taken.append(time.perf_counter() - began)
                    resumed.wait()
                    resumed.clear()

    engine.state_hook = watch
    resumed = threading.Event()
    requests = threading.Thread(target=request)
    requests.start()
    try:
        while len(taken) < n_pauses:
            _run(engine, plan(), resumed, lambda: len(taken) >= n_pauses)
    finally:
        over.set()
        resumed.set()
        requests.join()
        engine.state_hook = None
    return taken[:n_pauses]


def _run(engine: Any, plan: Any, resumed: threading.Event, is_enough: Callable[[], bool]) -> None:
    """Run a plan through all pauses, to its end or to the last pause."""
    go_on: Callable[[], Any] = partial(engine, plan)
    while True:
        try:
            go_on()
        except RunEngineInterrupted:
            time.sleep(0.01)  # the other thread looks at its clock
            if is_enough():
                engine.abort()
                resumed.set()
                return
            resumed.set()
            go_on = engine.resume
        else:
            return


def film_plans(session: Session, **exposure: float) -> dict[str, Callable[[], Any]]:
    devices = session.devices
    det, stage, eta = devices["det"], devices["stage"], devices["diffractometer"].eta
    options: dict[str, Any] = {"monitor": devices["monitor"], **exposure}

    def steered(turn: Any = None, **more: Any) -> Any:
        point = None if turn is None else turn(eta, -1, 1, 41)
        return find_hotspot(det, stage, per_point=point, **options, **more)

    return {
        "steered, reference": lambda: steered(budget=48),
        "steered, online NMF": lambda: steered(budget=48, target="nmf:3@x=0.45,R=0.9,tilt=0"),
        "map": lambda: map_sample(det, stage, **options),
        "rocking scan, 41 steps": lambda: steered(rocking_scan, budget=20),
        "rocking sweep, 41 frames": lambda: steered(rocking_sweep, budget=20),
    }


def ophyd_sim_plans() -> dict[str, Callable[[], Any]]:
    x, y, circle = (SynAxis(name=name, delay=0.2) for name in ("x", "y", "circle"))
    det = SynGauss("det", x, "x", center=3.0, Imax=1000.0, sigma=2.0, noise="none")
    det.exposure_time = 0.3
    axis = np.arange(8.0)
    options: dict[str, Any] = {"grid": {"x": axis, "y": axis}, "budget": 20}
    return {
        "ophyd.sim, steered": lambda: find_hotspot(det, [x, y], **options),
        "ophyd.sim, rocking scan": lambda: find_hotspot(
            det, [x, y], per_point=rocking_scan(circle, -1, 1, 5), **options
        ),
    }


def report(session: Session, plans: dict[str, Callable[[], Any]], n_pauses: int) -> None:
    for name, plan in plans.items():
        taken = np.array(paused_s(session, plan, n_pauses))
        median, most, within = np.median(taken), taken.max(), np.mean(taken <= LIMIT_S)
        print(f"{name:32}{len(taken):6d}{median:10.3f}{most:10.3f}{within:10.0%}", flush=True)


def over_channel_access(n_pauses: int, folder: str) -> None:
    """Measure against the IOC of this environment."""
    with open_session(epics(prefix=PREFIX), data_dir=folder, progress=False) as session:
        report(
            session,
            {f"CA, {k}": v for k, v in film_plans(session, exposure_s=0.5).items()},
            n_pauses,
        )


def measure_over_channel_access(n_pauses: int, folder: str) -> None:
    """Serve the film in real time; measure in a process that has the IOC's ports from its start."""
    environment = {**os.environ, **ENVIRONMENT}
    command = [sys.executable, "-m", "bl_steer", "ioc", "--sample", "smooth", "--prefix", PREFIX]
    with subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE) as ioc:
        try:
            assert ioc.stdout is not None
            assert ioc.stdout.readline().strip() == "READY"
            measure = [sys.executable, __file__, str(n_pauses), folder]
            subprocess.run(measure, env=environment, check=True)
        finally:
            ioc.terminate()


def main(n_pauses: int = 50) -> None:
    """Print median and longest pause of each kind of run."""
    print(f"{'run':32}{'pauses':>6}{'median s':>10}{'most s':>10}{'within .3':>10}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        film = f"{folder}/film"
        with open_session("smooth", seed=1, data_dir=film, progress=False) as session:
            report(session, film_plans(session), n_pauses)
            report(session, ophyd_sim_plans(), n_pauses)
        measure_over_channel_access(n_pauses, f"{folder}/epics")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        over_channel_access(int(sys.argv[1]), sys.argv[2])
    else:
        main(*map(int, sys.argv[1:]))
