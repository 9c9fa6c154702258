"""The sandbox as a server makes it that root does not run, where root runs these tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import bl_steer

HERE = Path(__file__).parent
ROOT = HERE.parents[3]
NOBODY = 65534
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "env")
"""By way of env: setpriv itself still finds programs that only root may reach."""
PROBLEM = "from bl_steer.server.sandbox.run import sandbox_problem; print(sandbox_problem())"
WITH_LIBRARIES = (
    "test_sandbox.py::test_a_job_computes_in_processes_beside_one_another_within_its_limits",
    "test_escapes.py::test_threads_children_and_numbers_go_on",
)
"""Which import libraries inside, where the sandbox shows those of its own Python alone."""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder of the user whom nobody is: those of pytest are root's own."""
    made = Path(tempfile.mkdtemp(prefix="bl_steer_nobody_", dir="/tmp"))
    os.chown(made, NOBODY, NOBODY)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def as_nobody(python: str, place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    installed = [path for path in sys.path if "site-packages" in path or "dist-packages" in path]
    paths = [str(Path(bl_steer.__file__).parents[1]), str(ROOT), *installed]
    given = {
        "PATH": os.environ["PATH"],
        "HOME": str(place),
        "TMPDIR": str(place),
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        [*AS_NOBODY, python, *words],
        cwd=ROOT,
        env=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def python_for_all(place: Path) -> str:
    """Return a Python of this version that others than root may run; skip where there is none."""
    if os.geteuid():
        pytest.skip("the tests of the sandbox run as a user without privileges as it is")
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv, which runs programs as another user, is not installed")
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    system = shutil.which(name, path="/usr/local/bin:/usr/bin")
    for python in filter(None, (sys.executable, system)):
        if as_nobody(python, place, "-c", "import pytest").returncode == 0:
            return python
    pytest.skip(f"no {name} that others than root may run, got {sys.executable} and {system}")


def test_the_tests_of_the_sandbox_pass_for_a_user_without_privileges(place: Path) -> None:
    python = python_for_all(place)
    made = as_nobody(python, place, "-c", PROBLEM)
    if made.returncode or made.stdout.strip():
        told = made.stdout.strip() or made.stderr.strip().rpartition("\n")[2]
        pytest.skip(f"a user without privileges can make no sandbox here: {told}")
    words = ["-m", "pytest", "-q", "-c", "/dev/null", f"--rootdir={ROOT}", "--noconftest"]
    words += ["-p", "no:cacheprovider", f"--basetemp={place / 'tests'}"]
    names = [f"test_{name}.py" for name in ("sandbox", "escapes")]
    if python != sys.executable:
        words += [f"--deselect={(HERE / name).relative_to(ROOT)}" for name in WITH_LIBRARIES]
    done = as_nobody(python, place, *words, *(str(HERE / name) for name in names))
    assert done.returncode == 0, done.stdout[-6000:]
    assert " passed" in done.stdout
