"""What each extra of the installation brings, and how a missing one is told.

The core steers; analyses, server, EPICS, queue server and the interactive session need more.
Modules import what they need at their top; where that is not installed, `bl_steer` itself, the
command line and `bl_steer.analysis.find_analysis` add the line of `hint`.
"""

from __future__ import annotations

from collections.abc import Mapping, Set

__all__ = ["EXTRAS", "hint"]

EXTRAS: Mapping[str, Set[str]] = {
    "analysis": {
        "PIL",
        "dask",
        "distributed",
        "imagecodecs",
        "jinja2",
        "monai",
        "nrrd",
        "numba",
        "pydoe",
        "pyvista",
        "roifile",
        "safetensors",
        "tifffile",
        "zarr",
    },
    "epics": {"caproto", "epics"},
    "pva": {"p4p"},
    "queue": {"bluesky_queueserver", "zmq"},
    "server": {
        "alembic",
        "argon2",
        "authlib",
        "babel",
        "cryptography",
        "fastapi",
        "fsspec",
        "httpx",
        "joserfc",
        "markupsafe",
        "openpyxl",
        "prometheus_client",
        "psycopg",
        "python_multipart",
        "requests",
        "skops",
        "starlette",
        "uvicorn",
    },
    "session": {"IPython", "databroker", "traitlets"},
}
"""Top-level modules that each extra brings and the core may lack."""


def hint(error: BaseException) -> str | None:
    """Return the line that names the extra which a failed import lacks; None for any other.

    >>> hint(ModuleNotFoundError("No module named 'numba'", name="numba"))
    "numba is missing; install it with: pip install 'bl-steer[analysis]'"
    """
    name = error.name if isinstance(error, ImportError) else None
    module = (name or "").partition(".")[0]
    for extra, modules in EXTRAS.items():
        if module in modules:
            return f"{module} is missing; install it with: pip install 'bl-steer[{extra}]'"
    return None
