"""Python processes that start with everything loaded: forked from one that has loaded it.

A new process of ours imports torch, Tiled and the rest for some 6 s of CPU time. `Popen` and `run`
here take the command of a Python process as `subprocess` does, and start it by forking a server
that has done so, in a tenth of a second. What starts is a process of its own, a child of the tests'
with its folder, environment, streams, signals, session and end. Those that prove what a new
process imports or how it starts belong to `subprocess`.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import gc
import importlib
import os
import pickle
import runpy
import signal
import socket
import subprocess
import sys
import threading
import types
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["PIPE", "Popen", "run"]

PIPE = subprocess.PIPE

# Nothing that talks to a control system or starts a thread when it is imported.
LOADED = (
    "torch",
    "torch._dynamo",  # by torch's first optimizer
    "tiled.server.app",
    "tiled.client",
    "botorch",
    "matplotlib.pyplot",
    "matplotlib.backends.backend_agg",
    "IPython",
    "epicscorelibs.path.pyepics",
    "ophyd._pyepics_shim",
    "adbc_driver_sqlite.dbapi",
    "aiosqlite",
    "bluesky_tiled_plugins",
    "botorch.acquisition",
    "botorch.models",
    "ophyd.sim",
    "ophyd_async.core",
    "starlette.testclient",
    "websockets.sync.client",
    "bl_steer.agents.bayesian",
    "bl_steer.features.nmf",
    "bl_steer.cli.server",
    "bl_steer.cli.session",
    "bl_steer.cli.steering",
    "bl_steer.cli.stored",
    "bl_steer.trials.film",
)
CALM = {
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "MPLBACKEND": "Agg",
    "NUMEXPR_MAX_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPHYD_CONTROL_LAYER": "dummy",
}
"""The environment in which these libraries start no thread."""
HEADER = 8
SET_CHILD_SUBREAPER = 36  # of prctl(2)


class Start(NamedTuple):
    """What a process is started with, besides its streams."""

    words: list[str]
    folder: str | None
    environment: dict[str, str]
    new_session: bool


class Popen(subprocess.Popen[str]):
    """`subprocess.Popen` of ``[sys.executable, …]``, in text, forked with everything loaded."""

    def __init__(self, words: Sequence[str | Path], **options: Any) -> None:
        if words[0] != sys.executable:
            raise ValueError(f"the command must begin with {sys.executable}, got {words[0]}")
        super().__init__(words, **{"text": True, **options})

    def _execute_child(self, args: Sequence[str | Path], *options: Any) -> None:
        """Start the process; `options` are those of Python 3.11 to 3.14."""
        _, _, _, _, cwd, env, _, _, _, *ends = options
        to_child, from_child, errors = ends[0], ends[3], ends[5]
        start = Start(
            [os.fspath(word) for word in args[1:]],
            None if cwd is None else os.fspath(cwd),
            dict(os.environ if env is None else env),
            new_session=ends[11],
        )
        streams = [n if end == -1 else end for n, end in enumerate((to_child, from_child, errors))]
        try:
            self.pid = server().start(start, streams)
            self._child_created = True
        finally:
            self._close_pipe_fds(*ends[:6])  # type: ignore[attr-defined]


def run(
    words: Sequence[str | Path],
    *,
    input: str | None = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    **options: Any,
) -> subprocess.CompletedProcess[str]:
    """`subprocess.run`, with a process from `Popen`."""
    if input is not None:
        options["stdin"] = subprocess.PIPE
    if capture_output:
        options["stdout"] = options["stderr"] = subprocess.PIPE
    with Popen(words, **options) as process:
        try:
            printed, errors = process.communicate(input, timeout=timeout)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(process.args, process.returncode, printed, errors)
    if check:
        done.check_returncode()
    return done


class Server:
    """The process that forks; it ends with the one that started it."""

    def __init__(self) -> None:
        self.control, theirs = socket.socketpair()
        self.lock = threading.Lock()
        self.become_reaper = functools.partial(
            ctypes.CDLL(None, use_errno=True).prctl, SET_CHILD_SUBREAPER
        )
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={**os.environ, **CALM},
                stdin=subprocess.DEVNULL,
            )
        atexit.register(self.close)

    def close(self) -> None:
        self.control.close()
        self.process.wait()

    def start(self, start: Start, streams: list[int]) -> int:
        """Return the number of a new child of this process."""
        body = pickle.dumps(tuple(start))
        with self.lock:
            # It is forked twice: when the process between ends, its child becomes that of this one.
            self.become_reaper(1)
            try:
                socket.send_fds(self.control, [len(body).to_bytes(HEADER, "big")], streams)
                self.control.sendall(body)
                reply = self.control.recv(HEADER)
            finally:
                self.become_reaper(0)
        if not reply:
            raise RuntimeError(f"the fork server must run, got its end: {self.process.wait()}")
        return int.from_bytes(reply, "big")


@functools.cache
def server() -> Server:
    return Server()


def load() -> None:
    """Import what the processes need; leave no thread, which a forked process would lack."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in LOADED:
            importlib.import_module(name)
    threads = [Path(task, "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
    if len(threads) > 1:
        raise RuntimeError(f"a fork server must have one thread, got {', '.join(threads)}")
    gc.collect()
    gc.freeze()  # or a forked process would copy all pages when it looks for garbage


def serve(control: socket.socket) -> Start:
    """Fork for each request; return in the forked process what it shall run."""
    while True:
        header, streams, _, _ = socket.recv_fds(control, HEADER, 3)
        if not header:
            os._exit(0)
        body = b""
        while len(body) < int.from_bytes(header, "big"):
            body += control.recv(1 << 20)
        reading, writing = os.pipe()
        if between := os.fork():
            os.waitpid(between, 0)
            control.sendall(os.read(reading, HEADER))
            for descriptor in (*streams, reading, writing):
                os.close(descriptor)
        elif forked := os.fork():
            os.write(writing, forked.to_bytes(HEADER, "big"))
            os._exit(0)
        else:
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
            for descriptor in (*streams, reading, writing):
                os.close(descriptor)
            control.close()
            return Start(*pickle.loads(body))


def become(start: Start) -> None:
    """Be as a process that was started so."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if start.new_session:
        os.setsid()
    if start.folder is not None:
        os.chdir(start.folder)
    os.environ.clear()
    os.environ.update(start.environment)
    if "PYTHONUNBUFFERED" in start.environment:
        sys.stdout.reconfigure(write_through=True)  # type: ignore[union-attr]
    further = start.environment.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[1:1] = [folder for folder in further if folder and folder not in sys.path]
    sys.modules["numpy"].random.seed()
    if "OPHYD_CONTROL_LAYER" not in os.environ:
        sys.modules["ophyd"].set_cl()


def execute(words: list[str]) -> None:
    """Do what ``python WORDS`` does."""
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    while words[0] in ("-B", "-P", "-X"):  # the others do not matter to what is forked
        sys.dont_write_bytecode |= words[0] == "-B"
        words = words[1 + (words[0] == "-X") :]
    if words[0] == "-m":
        sys.path[0] = os.getcwd()
        sys.argv[:] = words[1:]
        runpy._run_module_as_main(words[1])  # type: ignore[attr-defined]
    elif words[0] == "-c":
        sys.path[0] = ""
        sys.argv[:] = ["-c", *words[2:]]
        exec(compile(words[1], "<string>", "exec"), main.__dict__)
    else:
        script = Path(words[0]).absolute()
        sys.path[0] = str(script.parent)
        sys.argv[:] = words
        main.__dict__.update(__file__=str(script))
        exec(compile(script.read_bytes(), script, "exec"), main.__dict__)


def status_of(words: list[str]) -> int:
    """Return with what ``python WORDS`` would end."""
    try:
        execute(words)
    except SystemExit as leaving:
        if leaving.code is None or isinstance(leaving.code, int):
            return leaving.code or 0
        print(leaving.code, file=sys.stderr)
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        if isinstance(error, KeyboardInterrupt):
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
    else:
        return 0
    return 1


def end(status: int) -> None:
    """End as a process does, but do not take apart what was loaded: a second of work."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    with suppress(BrokenPipeError):
        sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    own = sys.path.pop(0)  # the folder of the tests: `bl_steer` there would be taken for ours
    load()
    sys.path.insert(0, own)
    request = serve(socket.socket(fileno=int(sys.argv[1])))
    become(request)
    end(status_of(request.words))
