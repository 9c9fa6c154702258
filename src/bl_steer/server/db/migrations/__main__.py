"""``python -m bl_steer.server.db.migrations TEXT``: begin a change of the tables."""

from __future__ import annotations

import sys
import tempfile

from bl_steer.server.db.database import Database
from bl_steer.server.db.migrations import begin_change, upgrade


def main() -> None:
    """Write a new module, to be read and corrected."""
    (text,) = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/service.db")
        with database.change() as connection:
            upgrade(connection)
        with database.change() as connection:
            sys.stdout.write(f"{begin_change(text, connection)}\n")
        database.close()


if __name__ == "__main__":
    main()
