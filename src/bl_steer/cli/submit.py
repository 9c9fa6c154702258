"""The command that hands files to an analysis server: submit."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from bl_steer.cli.options import plain_command, write_json
from bl_steer.progress import Bar

__all__ = ["add_commands"]

ADDRESS = "http://127.0.0.1:8800"


def add_commands(commands: Any) -> None:
    """Add the command ``submit``."""
    text = "have files analysed by an analysis server, and save the result"
    parser = plain_command(commands, "submit", _submit, text)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="to analyse")
    parser.add_argument("--analysis", required=True, metavar="NAME", help="segment, components, …")
    parser.add_argument(
        "--param", action="append", default=[], metavar="NAME=VALUE", help="may be repeated"
    )
    parser.add_argument("--server", default=ADDRESS, metavar="URL", help="of the server")
    parser.add_argument("--key", default="", help="BL_STEER_SERVICE_KEY by default")
    parser.add_argument("--sample", default="", metavar="NAME", help="name of the specimen")
    parser.add_argument(
        "--may-train", action="store_true", help="the files may serve to train models further"
    )
    parser.add_argument("--mail", action="store_true", help="send a mail at its end")
    parser.add_argument("--no-wait", action="store_true", help="leave as soon as it is queued")
    parser.add_argument("--out", type=Path, metavar="DIR", help="save the result's files")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the job as JSON")


def _submit(arguments: argparse.Namespace) -> None:
    from bl_steer.server.client import Client

    if missing := [str(path) for path in arguments.files if not path.is_file()]:
        raise FileNotFoundError(f"files must exist to be sent, got {', '.join(missing)}")
    params = dict(_param(one) for one in arguments.param)
    with Client(arguments.server, arguments.key) as server:
        about = {"sample": arguments.sample, "may_train": arguments.may_train}
        sent = [server.upload(path, **about) for path in arguments.files]
        job = server.submit(arguments.analysis, sent, params, mail=arguments.mail)
        print(f"{'job':22}{arguments.server.rstrip('/')}/jobs/{job['id']}")
        if not arguments.no_wait:
            job = _wait(server, job)
            _report(job)
            if arguments.out is not None:
                paths = server.download(job, arguments.out)
                print(f"{'results':22}{arguments.out}, {len(paths)} files")
    write_json(arguments, job)


def _wait(server: Any, job: dict[str, Any]) -> dict[str, Any]:
    with Bar(job["analysis"]) as bar:
        try:
            waited: dict[str, Any] = server.wait(job, progress=bar.show)
        except KeyboardInterrupt:
            raise KeyboardInterrupt("the server goes on with the job") from None
    return waited


def _report(job: dict[str, Any]) -> None:
    for warning in job["warnings"]:
        print(f"warning: {warning}")
    print(f"{'duration':22}{job['finished'] - job['started']:.1f} s")
    print(f"{'digest':22}{job['digest']}")


def _param(text: str) -> tuple[str, Any]:
    """Return name and value; a value that is not JSON is text."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError(f"--param must be NAME=VALUE, got {text!r}; try pixel_size_nm=10")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
