"""How the tables came to be what they are: one module in ``versions`` for each change.

`upgrade` brings a database up to date; nobody runs Alembic by hand, except to begin a new change::

    python -m bl_steer.server.db.migrations "Say how long a job waited"
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection

if TYPE_CHECKING:
    from alembic.config import Config

__all__ = ["begin_change", "head", "stamp", "upgrade"]

PLACE = Path(__file__).parent


def upgrade(connection: Connection) -> None:
    """Bring a database's tables up to date, in the transaction of the connection."""
    from alembic import command

    command.upgrade(_config(connection), "head")


def stamp(connection: Connection) -> None:
    """Note that a database has the tables of today."""
    from alembic import command

    command.stamp(_config(connection), "head", purge=True)


def head() -> str:
    """Return the name of the latest change."""
    from alembic.script import ScriptDirectory

    found = ScriptDirectory.from_config(_config()).get_current_head()
    if found is None:
        raise RuntimeError("there must be migrations, got none; the installation is not whole")
    return found


def begin_change(text: str, connection: Connection) -> Path:
    """Write a new module from the difference of the tables to a database that was up to date."""
    from alembic import command

    number = len(list((PLACE / "versions").glob("[0-9]*.py"))) + 1
    made = command.revision(_config(connection), text, autogenerate=True, rev_id=f"{number:04d}")
    if made is None or isinstance(made, list):
        raise RuntimeError("a change must be one module, got none or several")
    return Path(made.path)


def _config(connection: Connection | None = None) -> Config:
    from alembic.config import Config as Made

    config = Made()
    config.set_main_option("script_location", str(PLACE))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["connection"] = connection
    return config
