"""Arrays of HDF5 that are refused where parts of them are not there, which HDF5 reads as zeros."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from bl_steer.files.archives import MAX_BYTES, check_expansion
from bl_steer.files.errors import FileFormatError

__all__ = ["read_whole"]


def read_whole(dataset: h5py.Dataset) -> NDArray[Any]:
    """Return an array, once its sources are known to be there: HDF5 makes zeros of absent ones.

    Raises
    ------
    FileFormatError
        When a source or a part is missing, or it is larger than allowed, or cannot be decoded.
    """
    name = str(dataset.name)[-60:]
    if dataset.is_virtual:
        folder = Path(dataset.file.filename).parent
        files = sorted({source.file_name for source in dataset.virtual_sources()} - {"."})
        missing = [f for f in files if not (folder / f).exists()]
        missing = missing or _without_data(dataset, folder)
        if missing:
            raise FileFormatError(
                f"must have the sources of its virtual dataset {name} beside it, got {len(missing)}"
                f" of {len(files)} missing, such as {missing[0][-60:]!r}; copy them, too: without "
                "them HDF5 reads zeros"
            )
    elif unwritten := _unwritten(dataset):
        raise FileFormatError(
            f"must have all of {name} written, got {unwritten}; its writer may have died: save the "
            "frames that are there, with their angles, as a file of their own"
        )
    if not dataset.is_virtual and not dataset.external:
        check_expansion(dataset.nbytes, dataset.id.get_storage_size())
    if dataset.nbytes > MAX_BYTES:
        raise FileFormatError(
            f"must hold at most {MAX_BYTES / 2**30:.0f} GiB, got shape {dataset.shape} in {name}; "
            "cut it into parts"
        )
    try:
        array = np.asarray(dataset[()])
    except (OSError, RuntimeError, ValueError) as error:
        raise FileFormatError(
            f"must have readable data, got a fault in {name} ({str(error)[:80]}); install "
            "hdf5plugin where a filter is missing, or copy it anew"
        ) from error
    # (n, 1, H, W), as some detectors' writers have it.
    return array[:, 0] if array.ndim == 4 and array.shape[1] == 1 else array


def _without_data(dataset: h5py.Dataset, folder: Path) -> list[str]:
    """Return the sources that are there, but do not hold the dataset that is referred to."""
    missing = []
    for source in dataset.virtual_sources():
        if source.file_name == ".":
            continue
        with h5py.File(folder / source.file_name, "r", locking=False) as file:
            if source.dset_name not in file:
                missing.append(f"{source.file_name}:{source.dset_name}")
    return missing


def _unwritten(dataset: h5py.Dataset) -> str:
    """Say how much was never written, which HDF5 reads as zeros; nothing where all was."""
    if dataset.external or not dataset.size:
        return ""
    if dataset.chunks is None:
        return "" if dataset.id.get_storage_size() else "none of it"
    parts = zip(dataset.shape, dataset.chunks, strict=True)
    planned = math.prod(-(-size // chunk) for size, chunk in parts)
    written = dataset.id.get_num_chunks()
    return "" if written >= planned else f"{written} of {planned} chunks"
