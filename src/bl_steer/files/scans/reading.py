"""Opens a scan of any format, known by its content and not by its name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from bl_steer.files.errors import FileFormatError
from bl_steer.files.scans import angles_npz, brml, nexus, rasx, spec, xrdml, zips
from bl_steer.files.scans.checks import checked
from bl_steer.files.scans.scan import Scan
from bl_steer.files.scans.xml_text import parse_xml
from bl_steer.files.signatures import content_of

__all__ = ["SCAN_FORMATS", "open_scan"]

SCAN_FORMATS = "xrdml, rasx, brml, SPEC, NeXus/HDF5, or .npz of angles"
"""What is read, in words."""
HEAD = 4096
NAME = 80
"""Letters of a file's name in a message."""


def open_scan(path: str | Path) -> Scan:
    """Read a scan.

    Parameters
    ----------
    path : of a file in one of `SCAN_FORMATS`

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no scan, damaged, or contradicts itself; one line of at most 300 characters.
    """
    path = Path(path)
    if not path.is_file():
        what = "a folder" if path.is_dir() else "none there"
        raise FileNotFoundError(
            f"a scan must be a file ({SCAN_FORMATS}), got {what}: {str(path)[-NAME:]!r}; check "
            "the path"
        )
    try:
        return checked(_reader(path)(path))
    except FileFormatError as error:
        raise ValueError(f"{path.name[-NAME:]} {error}") from error.__cause__
    except Exception as error:  # parsers and HDF5 fail in any way on damaged files
        reason = str(getattr(error, "strerror", None) or error) or type(error).__name__
        raise ValueError(
            f"{path.name[-NAME:]} must be whole and readable, got a fault "
            f"({' '.join(reason.split())[:100]}); copy it anew, or give a file that you may read"
        ) from error


def _reader(path: Path) -> Callable[[Path], Scan]:
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head:
        raise FileFormatError("must hold a scan, got an empty file; copy it anew")
    if head.startswith(b"PK"):
        return _zip_reader(path)
    for signature, read in _SIGNATURES.items():
        if signature.match(head):
            return read
    raise FileFormatError(
        f"must be a scan ({SCAN_FORMATS}), got {content_of(path)}; export it in one of these"
    )


def _zip_reader(path: Path) -> Callable[[Path], Scan]:
    names = zips.member_names(path)
    if rasx.is_rasx(names):
        return rasx.read_rasx
    if brml.is_brml(names):
        return brml.read_brml
    if any(name.endswith(".npy") for name in names):
        return angles_npz.read_angles
    raise FileFormatError(
        f"must be a scan ({SCAN_FORMATS}), got a zip of {len(names)} other files; export it in "
        "one of these"
    )


def _xml_reader(path: Path) -> Scan:
    root = parse_xml(path.read_bytes())
    if root.tag != "xrdMeasurements":
        raise FileFormatError(
            f"must be a scan ({SCAN_FORMATS}), got other XML, <{root.tag[:40]}>; export it in one "
            "of these"
        )
    return xrdml.scan_of_xrdml(root)


_SIGNATURES: Mapping[re.Pattern[bytes], Callable[[Path], Scan]] = {
    re.compile(rb"(\xef\xbb\xbf)?\s*<|\xff\xfe<\0|\xfe\xff\0<"): _xml_reader,
    re.compile(rb"\x89HDF\r\n\x1a\n"): nexus.read_nexus,
    re.compile(rb"(\xef\xbb\xbf)?#[FS] "): spec.read_spec,
}
"""How files begin, with what reads them."""
