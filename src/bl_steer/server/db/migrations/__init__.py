"""How the tables came to be what they are: one module in ``versions`` for each change.

`upgrade` brings a database up to date; nobody runs Alembic by hand, except to begin a new change::

    python -m bl_steer.server.db.migrations "Say how long a job waited"
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

__all__ = ["begin_change", "head", "stamp", "upgrade"]

FOLDER = Path(__file__).parent


def upgrade(connection: Connection) -> None:
    """Bring a database's tables up to date, in the transaction of the connection."""
    command.upgrade(_config(connection), "head")


def stamp(connection: Connection) -> None:
    """Note that a database has the tables of today."""
    command.stamp(_config(connection), "head", purge=True)


def head() -> str:
    """Return the name of the latest change."""
    name = ScriptDirectory.from_config(_config()).get_current_head()
    if name is None:
        raise RuntimeError("there must be migrations, got none; the installation is not whole")
    return name


def begin_change(text: str, connection: Connection) -> Path:
    """Write a new module from the difference of the tables to a database that was up to date."""
    number = len(list((FOLDER / "versions").glob("[0-9]*.py"))) + 1
    script = command.revision(_config(connection), text, autogenerate=True, rev_id=f"{number:04d}")
    if script is None or isinstance(script, list):
        raise RuntimeError("a change must be one module, got none or several")
    return Path(script.path)


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["connection"] = connection
    return config
