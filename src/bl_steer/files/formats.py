"""The formats of images and volumes, for readers, messages and the web page alike."""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "FORMATS",
    "FORMS",
    "LOSSY",
    "READ",
    "SUFFIXES",
    "ZARR_FILES",
    "is_zarr",
    "unread_images",
    "way_to_tiff",
]

FORMATS = {
    "TIFF": (".tif", ".tiff"),
    "PNG": (".png",),
    "BMP": (".bmp",),
    "JPEG": (".jpg", ".jpeg"),
    "npy": (".npy",),
}
"""What is read, with the endings of the files' names; the least lossy first."""
READ = f"{', '.join(list(FORMATS)[:-1])} or npy"
"""The formats in words."""
SUFFIXES = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)
LOSSY = "JPEG changes numbers, most beside edges: save labels as PNG, or as TIFF without JPEG"
"""What is said of labels in JPEG."""
FORMS = {"imagej": ".tif", "ome-tiff": ".ome.tif", "ome-zarr": ".ome.zarr", "nrrd": ".nrrd"}
"""What a volume may be written as, with the ending of the file's name."""
ZARR_FILES = ("zarr.json", ".zarray", ".zgroup")
"""One of them lies in the folder of every Zarr array and group."""


_OTHERS = {
    "Zeiss": (".czi", ".lsm", ".zvi"),
    "Leica": (".lif", ".xlef"),
    "Gatan": (".dm3", ".dm4"),
    "Nikon": (".nd2",),
    "Olympus": (".oib", ".oif", ".vsi"),
    "Thermo Fisher": (".emd", ".ser"),
    "MRC": (".mrc", ".rec", ".st"),
    "Amira or Avizo": (".am",),
    "MetaImage": (".mha", ".mhd"),
    "NIfTI": (".nii",),
    "": (".gif", ".webp", ".jp2", ".heic", ".heif", ".jxl", ".avif"),
}
"""Images that are not read, by who writes them."""


def way_to_tiff(path: Path) -> str:
    """Return how an image that is not read becomes one that is.

    >>> way_to_tiff(Path("a.czi"))
    'it is a file of Zeiss: open it in Fiji, whose Bio-Formats reads it, and save it as TIFF'
    """
    for maker, endings in _OTHERS.items():
        if maker and path.suffix.lower() in endings:
            return (
                f"it is a file of {maker}: open it in Fiji, whose Bio-Formats reads it, and save "
                "it as TIFF"
            )
    return "export it as TIFF"


def unread_images(folder: Path) -> list[str]:
    """Return a sentence where a folder holds images of kinds that are not read."""
    endings = [ending for several in _OTHERS.values() for ending in several]
    others = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in endings and not path.name.startswith(".") and path.is_file()
    )
    if not others:
        return []
    count = "an image" if len(others) == 1 else f"{len(others)} images"
    named = f"{others[0].name}" if len(others) == 1 else f"such as {others[0].name},"
    kinds = "is of a kind that is" if len(others) == 1 else "are of kinds that are"
    return [
        f"{count} in {folder.name}, {named}{',' if len(others) == 1 else ''} {kinds} not read, and "
        f"left out: {way_to_tiff(others[0])}"
    ]


def is_zarr(path: Path) -> bool:
    """Whether a path names a Zarr array or group, or something within one."""
    return any(part.suffix == ".zarr" for part in (path, *path.parents))
