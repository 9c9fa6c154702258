"""The command that hands files to an analysis server: submit."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bl_steer.cli.options import Parser, json_option, out_option, print_row, print_warnings
from bl_steer.cli.params import add_named_params, add_params, analysis_of, read_params
from bl_steer.progress import Bar
from bl_steer.server.client import Client
from bl_steer.server.packages.inputs import files_by_input
from bl_steer.stages import stages_of

__all__ = ["add_submit"]

ADDRESS = "http://127.0.0.1:8800"


def add_submit(parser: Parser, argv: Sequence[str]) -> None:
    """Add the options of ``submit``, and those of the analysis that is named."""
    json_option(parser, _submit)
    text = "files to analyse; NAME=FILE where the analysis has several inputs"
    parser.add_argument("files", nargs="+", metavar="FILE", help=text)
    _analysis_option(parser)
    parser.add_argument("--server", default=ADDRESS, metavar="URL", help="address of the server")
    parser.add_argument(
        "--key", default="", help="key of the account; BL_STEER_SERVICE_KEY by default"
    )
    parser.add_argument("--sample-name", default="", metavar="NAME", help="name of the specimen")
    parser.add_argument(
        "--may-train", action="store_true", help="the files may serve to train models further"
    )
    parser.add_argument("--mail", action="store_true", help="send a mail at its end")
    parser.add_argument("--no-wait", action="store_true", help="leave as soon as it is queued")
    out_option(parser, None, "folder for the result's files")
    first = Parser(prog=parser.prog, add_help=False, lenient=True)
    _analysis_option(first)
    name = first.parse_known_args(list(argv))[0].analysis
    analysis = None if name is None else analysis_of(name)
    if analysis is None:
        add_named_params(
            parser, "parameter of an analysis that the server alone knows; may be repeated"
        )
    else:
        add_params(parser, analysis.Params)


def _analysis_option(parser: Parser) -> None:
    parser.add_argument(
        "--analysis",
        required=parser.add_help,
        metavar="NAME",
        help="analysis: segment, components, …; with --help, its options",
    )


def _submit(arguments: argparse.Namespace) -> Any:
    params = read_params(arguments)
    here = analysis_of(arguments.analysis) is not None
    if here:
        _check_there(arguments.files)
    with Client(arguments.server, arguments.key) as server:
        inputs = [] if here else server.analysis(arguments.analysis)["inputs"]
        uploads = _upload(server, arguments, [one["name"] for one in inputs])
        job = server.submit(arguments.analysis, uploads, params, mail=arguments.mail)
        print_row("job", f"{arguments.server.rstrip('/')}/jobs/{job['id']}")
        if not arguments.no_wait:
            job = _wait(server, job)
            print_warnings(arguments, job)
            print_row("duration", f"{job['finished'] - job['started']:.1f} s")
            print_row("digest", job["digest"])
            if arguments.out is not None:
                paths = _download(server, job, arguments.out)
                print_row("results", f"{arguments.out}, {len(paths)} files")
    return job


def _check_there(files: Iterable[str | Path]) -> None:
    if missing := [str(path) for path in files if not Path(path).is_file()]:
        raise FileNotFoundError(f"files must exist to be sent, got {', '.join(missing)}")


def _upload(
    server: Client, arguments: argparse.Namespace, inputs: Sequence[str]
) -> Sequence[str] | Mapping[str, Sequence[str]]:
    """Send the files; return their ids, by input where the analysis on the server has several."""
    files = files_by_input(arguments.files, inputs)
    named = files if isinstance(files, Mapping) else {"": files}
    _check_there(path for group in named.values() for path in group)
    about = {"sample": arguments.sample_name, "may_train": arguments.may_train}
    sent = {name: [server.upload(path, **about) for path in group] for name, group in named.items()}
    return sent if isinstance(files, Mapping) else sent[""]


def _download(server: Client, job: dict[str, Any], out: Path) -> Sequence[Path]:
    try:
        return server.download(job, out)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"the page of job {job['id']} above has all files; those in {out} are whole each"
        ) from None


def _wait(server: Client, job: dict[str, Any]) -> dict[str, Any]:
    with Bar(job["analysis"], stages=stages_of(job["analysis"])) as bar:
        try:
            return server.wait(job, progress=bar.show)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"the server goes on with job {job['id']}, and its page above has the result"
            ) from None
