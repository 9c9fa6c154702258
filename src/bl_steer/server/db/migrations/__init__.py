"""How the tables came to be what they are: one module in ``versions`` for each change.

`upgrade` brings a database up to date; nobody runs Alembic by hand, except to begin a new change::

    python -m bl_steer.server.db.migrations "Say how long a job waited"
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

__all__ = ["begin_change", "check_known", "head", "revision_of", "stamp", "upgrade"]

FOLDER = Path(__file__).parent


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Bring a database's tables up to date, in the transaction of the connection.

    Raises
    ------
    RuntimeError
        When a newer program has changed them already.
    """
    revision_of(connection)
    command.upgrade(_config(connection), revision)


def revision_of(connection: Connection) -> str | None:
    """Return the latest change that a database has had; None where it has no tables of ours.

    Raises
    ------
    RuntimeError
        When a newer program has changed it: what this one wrote there could be lost or wrong.
    """
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is not None:
        check_known(revision, "the server's database")
    return revision


def check_known(revision: str, what: str) -> None:
    """Raise `RuntimeError` unless this program knows a change of the tables."""
    script = ScriptDirectory.from_config(_config())
    known = [change.revision for change in script.walk_revisions()]
    if revision not in known:
        raise RuntimeError(
            f"{what} must be of this version of bl_steer or of an earlier one, got one with the "
            f"tables of {revision!r}, where this version knows them up to {known[0]}; install the "
            "version that it was used with, or restore the backup made before that"
        )


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
