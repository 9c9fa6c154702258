"""Commands of the analysis server: serve, and its care."""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from bl_steer.cli.options import Parser, command, group, server_folder_option
from bl_steer.server.auth.accounts import check_email, find_user, invite
from bl_steer.server.auth.password_resets import LINK_HOURS, link_for
from bl_steer.server.environment import read_settings
from bl_steer.server.errors import Refused
from bl_steer.server.folder import PARTS
from bl_steer.server.operations.backup import back_up, restore
from bl_steer.server.operations.check import check_server
from bl_steer.server.operations.serve import open_database, serve, set_environment
from bl_steer.server.packages.catalogue import asked_for
from bl_steer.server.sandbox.dependencies import Dependencies, canonical
from bl_steer.server.settings import ServerSettings

__all__ = ["add_serve", "add_server"]


def add_serve(parser: Parser, argv: Sequence[str]) -> None:
    """Add the options of ``serve``."""
    parser.set_defaults(run=_serve)
    server_folder_option(parser)
    parser.add_argument("--host", help="address to listen at (default 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen at (default 8800)")
    parser.add_argument(
        "--workers", type=int, metavar="N", help="jobs to run at a time (default 2)"
    )
    parser.add_argument(
        "--part",
        action="append",
        choices=PARTS,
        help="part of the server to run; may be repeated; all by default",
    )
    parser.add_argument(
        "--trust-packages",
        action="store_true",
        default=None,
        help="run jobs without a sandbox where bubblewrap is missing",
    )
    parser.add_argument(
        "--check", action="store_true", help="start nothing; say what is missing, a line each"
    )


def add_server(parser: Parser, argv: Sequence[str]) -> None:
    """Add the group ``server``."""
    server = group(parser)
    text = "print a link that makes an account"
    add_user = command(server, "add-user", _add_user, text, json=False)
    add_user.add_argument("email", metavar="EMAIL", help="e-mail address of the account")
    add_user.add_argument(
        "--role", choices=("user", "reviewer", "admin"), default="user", help="role of the account"
    )
    server_folder_option(add_user)
    text = "print a link by which the owner of an account sets a new password"
    reset = command(server, "reset-password", _reset_password, text, json=False)
    reset.add_argument("email", metavar="EMAIL", help="e-mail address of the account")
    server_folder_option(reset)
    text = "install libraries that packages ask for, from the list that the server allows"
    install = command(server, "install-dependencies", _install, text, json=False)
    install.add_argument(
        "dependencies",
        nargs="*",
        metavar="NAME==VERSION",
        help="libraries of one package; without, those of all packages that are not revoked",
    )
    server_folder_option(install)
    text = "copy database and files while it runs"
    backup = command(server, "backup", _backup, text, json=False)
    backup.add_argument(
        "target", type=Path, metavar="FOLDER", help="folder of the backup, new or of an earlier one"
    )
    server_folder_option(backup)
    text = "bring a backup back into an empty server"
    restored = command(server, "restore", _restore, text, json=False)
    restored.add_argument("source", type=Path, metavar="FOLDER", help="folder of the backup")
    server_folder_option(restored)


def _settings(arguments: argparse.Namespace) -> ServerSettings:
    names = ("folder", "host", "port", "workers", "trust_packages")
    settings = {
        name: value for name in names if (value := getattr(arguments, name, None)) is not None
    }
    set_environment(settings)
    return read_settings(**settings)


def _serve(arguments: argparse.Namespace) -> None:
    settings = _settings(arguments)
    if arguments.check:
        _check(settings)
        return
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    serve(settings, arguments.part or PARTS, tell=_announce)


def _check(settings: ServerSettings) -> None:
    faults = 0
    for finding in check_server(settings):
        print(f"{finding.grade:6}{finding.what:10}{' '.join(finding.said.split())}", flush=True)
        faults += finding.grade == "FAULT"
    if faults:
        raise RuntimeError(
            f"a server must have no FAULT, got {faults}; the lines above say what to do"
        )


def _announce(address: str, link: str | None) -> None:
    print(f"bl_steer's analysis server: {address} (Ctrl-C ends it)", flush=True)
    if link is not None:
        print(f"make the first account, an administrator's, here: {link}", flush=True)


def _add_user(arguments: argparse.Namespace) -> None:
    email = _email(arguments)
    remedy = f"give another, or have it set a new password: bl-steer server reset-password {email}"
    with _session(arguments, f"EMAIL must have no account yet, got {email}; {remedy}") as opened:
        _check_open(opened.session, email)
        token = invite(opened.session, by="command line", email=email, role=arguments.role)
    print(f"good for 7 days and one account{opened.told}: {opened.address}/join/{token}")


def _reset_password(arguments: argparse.Namespace) -> None:
    email = _email(arguments)
    remedy = f"give another, or make one: bl-steer server add-user {email}"
    with _session(arguments, f"EMAIL must have an open account, got {email}; {remedy}") as opened:
        _check_open(opened.session, email)
        token = link_for(opened.session, email, by="command line")
    print(f"good for {LINK_HOURS:g} h and one use{opened.told}: {opened.address}/reset/{token}")


def _email(arguments: argparse.Namespace) -> str:
    try:
        return check_email(arguments.email)
    except Refused as error:
        raise ValueError(
            f"EMAIL must be an e-mail address, got {arguments.email!r}; give name@example.org"
        ) from error


def _check_open(session: Session, email: str) -> None:
    """Say how to reopen an account that is closed; neither command does."""
    user = find_user(session, email)
    if user is not None and user.disabled is not None:
        day = time.strftime("%Y-%m-%d", time.localtime(user.disabled))
        raise ValueError(
            f"EMAIL must have no account or an open one, got {email}, whose account was closed on "
            f"{day}; an administrator reopens it on the page Administration, Accounts"
        )


@dataclass(frozen=True)
class _Opened:
    """A transaction in a server's database, and the address that its links begin with."""

    session: Session
    address: str

    @property
    def told(self) -> str:
        return "" if self.address else " (put the address of your server before it)"


@contextmanager
def _session(arguments: argparse.Namespace, refusal: str) -> Iterator[_Opened]:
    settings = _settings(arguments)
    settings.check_folder()
    database = open_database(settings)
    try:
        with database.write() as session:
            yield _Opened(session, settings.known_address)
    except Refused as error:
        raise ValueError(refusal) from error
    finally:
        database.close()


def _install(arguments: argparse.Namespace) -> None:
    settings = _settings(arguments)
    dependencies = Dependencies.of(settings)
    sets = [canonical(arguments.dependencies)]
    if not arguments.dependencies:
        settings.check_folder()
        database = open_database(settings)
        with database.read() as session:
            sets = asked_for(session)
        database.close()
    for pinned in sets:
        installed = dependencies.install(pinned)
        new = ", ".join(f"{name} {number}" for name, number in installed.items())
        print(f"{' '.join(pinned)}: {new or 'nothing to add to the libraries of the server'}")
    if not sets:
        print("no package asks for a library")


def _backup(arguments: argparse.Namespace) -> None:
    settings = _settings(arguments)
    settings.check_folder()
    done = back_up(settings, arguments.target)
    print(f"backup {arguments.target}: {done.rows} rows, {done.files} files ({done.copied} new)")


def _restore(arguments: argparse.Namespace) -> None:
    done = restore(_settings(arguments), arguments.source)
    print(f"restored from {arguments.source}: {done.rows} rows, {done.files} files")
