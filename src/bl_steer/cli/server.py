"""Commands of the analysis server: serve, and its backup."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

from bl_steer.cli.options import group, plain_command, server_folder_option

__all__ = ["add_commands"]


def add_commands(commands: Any) -> None:
    """Add the commands of the server."""
    serve = plain_command(commands, "serve", _serve, "run the analysis server until Ctrl-C")
    server_folder_option(serve)
    serve.add_argument("--host", help="to listen at (default 127.0.0.1)")
    serve.add_argument("--port", type=int, help="to listen at (default 8800)")
    serve.add_argument("--workers", type=int, metavar="N", help="jobs at a time (default 2)")
    serve.add_argument(
        "--part",
        action="append",
        choices=("web", "worker", "keeper"),
        help="to run alone; may be repeated; all by default",
    )
    serve.add_argument(
        "--trust-packages",
        action="store_true",
        default=None,
        help="run jobs without a sandbox where bubblewrap is missing",
    )
    server = group(commands, "server", "look after the analysis server")
    add_user = plain_command(server, "add-user", _add_user, "print a link that makes an account")
    add_user.add_argument("email", metavar="EMAIL", help="of the account")
    add_user.add_argument(
        "--role", choices=("user", "reviewer", "admin"), default="user", help="of the account"
    )
    server_folder_option(add_user)
    backup = plain_command(server, "backup", _backup, "copy database and files while it runs")
    backup.add_argument("target", type=Path, metavar="FOLDER", help="new, or an earlier backup")
    server_folder_option(backup)
    restore = plain_command(server, "restore", _restore, "bring a backup back into an empty server")
    restore.add_argument("source", type=Path, metavar="FOLDER", help="of the backup")
    server_folder_option(restore)


def _settings(arguments: argparse.Namespace) -> Any:
    from bl_steer.server.environment import read_settings
    from bl_steer.server.operations.serve import set_environment

    names = ("folder", "host", "port", "workers", "trust_packages")
    given = {name: value for name in names if (value := getattr(arguments, name, None)) is not None}
    set_environment(given)
    return read_settings(**given)


def _serve(arguments: argparse.Namespace) -> None:
    from bl_steer.server.folder import PARTS
    from bl_steer.server.operations.serve import serve

    settings = _settings(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    serve(settings, arguments.part or PARTS, tell=_announce)


def _announce(address: str, link: str | None) -> None:
    print(f"bl_steer's analysis server: {address} (Ctrl-C ends it)", flush=True)
    if link is not None:
        print(f"make the first account, an administrator's, here: {link}", flush=True)


def _add_user(arguments: argparse.Namespace) -> None:
    from bl_steer.server.auth.accounts import check_email, invite
    from bl_steer.server.errors import Refused
    from bl_steer.server.operations.serve import open_database

    try:
        check_email(arguments.email)
    except Refused as error:
        raise ValueError(
            f"EMAIL must be an e-mail address, got {arguments.email!r}; give name@example.org"
        ) from error
    settings = _settings(arguments)
    settings.check_folder()
    database = open_database(settings)
    try:
        with database.write() as session:
            token = invite(session, by="command line", email=arguments.email, role=arguments.role)
    finally:
        database.close()
    address = settings.known_address
    before = "" if address else " (put the address of your server before it)"
    print(f"good for 7 days and one account{before}: {address}/join/{token}")


def _backup(arguments: argparse.Namespace) -> None:
    from bl_steer.server.operations.backup import back_up

    settings = _settings(arguments)
    settings.check_folder()
    made = back_up(settings, arguments.target)
    print(f"backup {arguments.target}: {made.rows} rows, {made.files} files ({made.copied} new)")


def _restore(arguments: argparse.Namespace) -> None:
    from bl_steer.server.operations.backup import restore

    made = restore(_settings(arguments), arguments.source)
    print(f"restored from {arguments.source}: {made.rows} rows, {made.files} files")
