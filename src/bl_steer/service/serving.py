"""``bl-steer serve``: the parts of the server as processes under one supervisor.

``python -m bl_steer.service.serving web`` is the access point alone, as the supervisor starts it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from bl_steer.service.database import Database
from bl_steer.service.settings import ServiceSettings
from bl_steer.service.supervisor import Supervisor, die_with_parent

__all__ = ["PARTS", "commands_of", "serve", "set_environment"]

PARTS = ("web", "worker", "keeper")
PYTHON = (sys.executable, "-P", "-m")


def commands_of(settings: ServiceSettings, parts: Sequence[str] = PARTS) -> dict[str, list[str]]:
    """Return the command of each process, by its name."""
    commands: dict[str, list[str]] = {}
    if "web" in parts:
        commands["web"] = [*PYTHON, "bl_steer.service.serving", "web"]
    if "worker" in parts:
        for slot in range(settings.workers):
            words = [*PYTHON, "bl_steer.service.worker", "--slot", str(slot)]
            commands[f"worker {slot}"] = words
    if "keeper" in parts:
        commands["keeper"] = [*PYTHON, "bl_steer.service.keeper"]
    return commands


def set_environment(values: Mapping[str, object]) -> None:
    """Set what the command line says as the environment of all parts; None leaves it alone."""
    for name, value in values.items():
        if value is not None:
            os.environ[f"BL_STEER_SERVICE_{name.upper()}"] = str(value)


def prepare(settings: ServiceSettings) -> None:
    """Make folder and tables; `RuntimeError` where jobs could not be kept apart."""
    from bl_steer.service.sandbox import sandbox_problem

    problem = sandbox_problem()
    if problem and not settings.trust_packages:
        raise RuntimeError(
            f"jobs must run in a sandbox, got: {problem}; install bubblewrap, or start with "
            "--trust-packages, where nobody but trusted people can reach the server"
        )
    settings.folder.mkdir(parents=True, exist_ok=True)
    settings.folder.chmod(0o700)
    database = Database(settings.database, pool_size=1)
    try:
        database.create_tables()
    finally:
        database.close()


def serve(settings: ServiceSettings, parts: Sequence[str] = PARTS) -> None:
    """Run the parts until Ctrl-C or SIGTERM."""
    prepare(settings)
    Supervisor(commands_of(settings, parts)).run()


def main() -> None:
    """Run the access point, as a part of a supervisor."""
    from bl_steer.service.web import serve_web

    die_with_parent()
    serve_web(ServiceSettings())


if __name__ == "__main__":
    main()
