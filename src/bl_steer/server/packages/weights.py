"""Weights from their file, by format. Call it only where what it might run can do no harm.

skops builds the types of its own list and those of the approved manifest; safetensors, npz and
ONNX hold numbers alone; pickle, joblib and h5 are code. The server loads all of them in the
sandbox only (`bl_steer.server.sandbox.run`). Each format's library is imported where its file is
loaded: skops alone takes seconds, and onnxruntime and keras need not be there.
"""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.server.packages.manifest import Format, PackageError, Weights

__all__ = ["load_weights"]

Arrays = dict[str, NDArray[Any]]
MOST_UNPACKED = 8 * 2**30
"""Bytes of an archive when unpacked."""
SCRIPT_MODULES = ("__main__", "script")
"""As a training script that defines functions of its own may have named their module."""


def load_weights(folder: Path, weights: Weights, script: ModuleType | None = None) -> Any:
    """Return a model, or arrays by name for formats that hold arrays alone.

    Parameters
    ----------
    script : the package's script, where a pickle may find functions of its author

    Raises
    ------
    PackageError
        When the file is damaged, wants what it may not have, or needs a library that is missing.
    """
    path = folder / weights.file
    try:
        return LOADERS[weights.format](path, weights, script)
    except PackageError:
        raise
    except MemoryError:
        raise
    except Exception as error:  # a hostile file may raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise PackageError(
            f"the weights must be a sound {weights.format} file, got {reason!r} from "
            f"{weights.file}; save the model again with the libraries of this server"
        ) from error


def _skops(path: Path, weights: Weights, script: ModuleType | None) -> Any:
    from skops.io import get_untrusted_types, load

    _check_archive(path)
    # What the file asks for is the file's wish: only what was approved may be built.
    types = set(get_untrusted_types(file=path))
    refused = sorted(types - set(weights.trusted_types))
    if refused:
        raise PackageError(
            f"a skops file must need no type beyond the manifest's trusted_types, got "
            f"{', '.join(refused)[:500]} in {weights.file}; name them there if they are harmless"
        )
    return load(path, trusted=sorted(weights.trusted_types))


def _npz(path: Path, weights: Weights, script: ModuleType | None) -> Arrays:
    _check_archive(path)
    with np.load(path, allow_pickle=False) as archive:
        if isinstance(archive, np.ndarray):
            raise PackageError(
                f"npz weights must be an archive of arrays, got a single array in {weights.file}; "
                "write it with numpy.savez"
            )
        return {name: archive[name] for name in archive.files}


def _safetensors(path: Path, weights: Weights, script: ModuleType | None) -> Arrays:
    from safetensors.numpy import load_file

    return dict(load_file(path))


def _onnx(path: Path, weights: Weights, script: ModuleType | None) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise PackageError(
            f"ONNX weights need the library onnxruntime, got none for {weights.file}; install it "
            "on the server, or save the model as skops or safetensors"
        ) from None
    return _OnnxModel(onnxruntime.InferenceSession(path.read_bytes()))


class _OnnxModel:
    """An ONNX model that predicts as scikit-learn's do: first input, first output."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:
        """Return the model's first output for X, in the type that its input has."""
        first = self._session.get_inputs()[0]
        dtype = {"tensor(double)": np.float64}.get(first.type, np.float32)
        values = {first.name: np.asarray(X, dtype)}
        return np.asarray(self._session.run(None, values)[0])


def _pickle(path: Path, weights: Weights, script: ModuleType | None) -> Any:
    return _ScriptUnpickler(io.BytesIO(path.read_bytes()), script).load()


def _joblib(path: Path, weights: Weights, script: ModuleType | None) -> Any:
    import joblib

    return joblib.load(path)


class _ScriptUnpickler(pickle.Unpickler):
    """Finds what the author defined beside the training in the package's script.

    It refuses nothing: a list of what a pickle may name was got round each time that one was made.
    """

    def __init__(self, file: io.BytesIO, script: ModuleType | None) -> None:
        super().__init__(file)
        self._script = script

    def find_class(self, module: str, name: str, /) -> Any:
        """Return a function or class by its place."""
        if self._script is not None and module in SCRIPT_MODULES and hasattr(self._script, name):
            return getattr(self._script, name)
        return super().find_class(module, name)


def _h5(path: Path, weights: Weights, script: ModuleType | None) -> Any:
    import h5py

    with h5py.File(path, "r") as file:
        if "model_config" not in file.attrs:
            return dict(_datasets(file, weights.file))
    if find_spec("tensorflow") is None:  # which Keras would look for
        os.environ.setdefault("KERAS_BACKEND", "torch")
    try:
        from keras.models import load_model
    except ImportError:
        raise PackageError(
            f"a Keras model needs the library keras, got none for {weights.file}; name it under "
            "dependencies, or save the weights as safetensors and build the network in the script"
        ) from None
    return load_model(path, compile=False)


def _datasets(group: Any, file: str, above: str = "") -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the arrays of an HDF5 file by their path, without leaving the file."""
    import h5py

    for name in group:
        path = f"{above}/{name}" if above else name
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise PackageError(f"h5 weights must hold no links, got {path!r} in {file}; copy them")
        item = group[name]
        if isinstance(item, h5py.Group):
            if path.count("/") > 16:
                raise PackageError(f"h5 weights must not nest deeper than 16, got {path!r}")
            yield from _datasets(item, file, path)
        elif item.external or item.is_virtual or item.dtype.kind not in "biufc":
            raise PackageError(
                f"h5 weights must hold numbers of their own, got {item.dtype} in {path!r}, "
                f"{'outside the file' if item.external or item.is_virtual else 'no numbers'}; "
                f"write plain datasets to {file}"
            )
        else:
            yield path, np.asarray(item[()])


def _check_archive(path: Path) -> None:
    """Refuse an archive that unpacks to too much, or whose members lead out of it."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    size = sum(member.file_size for member in members)
    outside = [m.filename for m in members if m.filename.startswith("/") or ".." in m.filename]
    if size > MOST_UNPACKED or len(members) > 100_000 or outside:
        raise PackageError(
            f"an archive of weights must unpack to at most {MOST_UNPACKED >> 30} GiB inside "
            f"itself, got {len(members)} members of {size} bytes {outside[:3]} in {path.name}; "
            "save the model again"
        )


Loader = Callable[[Path, Weights, ModuleType | None], Any]
LOADERS: Mapping[Format, Loader] = {
    "skops": _skops,
    "npz": _npz,
    "safetensors": _safetensors,
    "onnx": _onnx,
    "pickle": _pickle,
    "joblib": _joblib,
    "h5": _h5,
}
