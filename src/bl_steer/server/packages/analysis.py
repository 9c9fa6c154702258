"""A package as an analysis: the same result, and digest, from notebook, command line and server."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel

from bl_steer.analysis import components, segmentation
from bl_steer.protocols import AnalysisResult, Inputs, Progress
from bl_steer.server.packages.content import content_hash, hash_file, verify_content
from bl_steer.server.packages.inputs import Files, inputs_of_files, parted
from bl_steer.server.packages.manifest import (
    MANIFEST_FILE,
    Input,
    Manifest,
    PackageError,
    read_manifest,
    read_source,
)
from bl_steer.server.packages.parameters import params_model
from bl_steer.server.packages.script import PackageScript
from bl_steer.server.packages.weights import load_weights
from bl_steer.server.sandbox.dependencies import canonical, missing_here
from bl_steer.single_thread import single_thread

__all__ = ["LIBRARIES", "PackageAnalysis", "installed_versions", "package_analysis"]

LIBRARIES = ("bl-steer", "numpy", "scipy", "scikit-learn", "scikit-image", "torch", "skops")
"""Whose versions may change a result."""
STEPS = 2


class PackageAnalysis:
    """An analysis that a package is; made by `package_analysis`.

    Nothing of the package runs before `run`, which compares every byte with the manifest first.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    Params: ClassVar[type[BaseModel]]
    manifest: ClassVar[Manifest]
    folder: ClassVar[Path]
    sha256: ClassVar[str | None]
    """The content hash that was approved; None takes the package as it is."""

    def inputs_of(self, run: Any) -> Inputs:
        """Return a stored run as inputs, for packages of micrographs and of maps."""
        kinds = [part.kind for part in self.manifest.inputs if not part.name]
        if kinds == ["micrographs"]:
            return segmentation.SegmentMicrographs().inputs_of(run)
        if kinds == ["map"]:
            return components.MapComponents().inputs_of(run)
        needed = " and ".join(f"a {part.kind}" for part in self.manifest.inputs)
        raise ValueError(
            f"a stored run must give what {self.name} works on, {needed}, got run {run.uid}; give "
            "files instead"
        )

    def inputs_from_files(self, files: Files) -> Inputs:
        """Return files as inputs, and what the user should know of them.

        Parameters
        ----------
        files : of the one input, or by the name of each
        """
        return inputs_of_files(self.manifest.inputs, files)

    def run(self, inputs: Inputs, params: Any, progress: Progress | None = None) -> AnalysisResult:
        """Load the package, and analyse.

        Raises
        ------
        PackageError
            When the package is not as it was approved, cannot be loaded, or breaks its contract.
        ValueError
            When the inputs are not of its kind, or its script says that they do not fit.
        """
        began = time.time()
        report = progress or (lambda done, total: None)
        report(0, STEPS)
        parts = parted(inputs, self.manifest.inputs)
        for part in self.manifest.inputs:
            _check_inputs(self.manifest.name, part, parts[part.name])
        sha256 = self._verified()
        if lacking := missing_here(self.manifest.dependencies):
            raise PackageError(
                f"{self.name} must have the libraries that it names, got no {', '.join(lacking)}; "
                f"install them: pip install {' '.join(lacking)}"
            )
        with single_thread(), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            script = PackageScript(self.folder, self.manifest)
            weights = self.manifest.weights
            models = {w.name: load_weights(self.folder, w, script.module) for w in weights}
            loading = [
                str(warning.message) for warning in caught if "version" in str(warning.message)
            ]
        report(1, STEPS)
        with single_thread():
            findings = script(parts.get("", parts), params, models.get("", models or None))
        report(STEPS, STEPS)
        hashes = {part.name: hash_file(self.folder / part.file) for part in weights}
        return AnalysisResult(
            tables=findings.tables,
            arrays=findings.arrays,
            provenance={
                "name": self.name,
                "version": self.version,
                "params": params.model_dump(mode="json"),
                "weights": hashes.get("", hashes or None),
                "package": sha256,
                "source": dict(inputs.source),
                "versions": {
                    **installed_versions(),
                    **dict(one.split("==") for one in canonical(self.manifest.dependencies)),
                },
                "duration_s": time.time() - began,
                **({"phases": findings.phases} if findings.phases else {}),
            },
            figures=findings.figures,
            warnings=tuple(
                dict.fromkeys(  # a script may pass the notes on, too
                    (
                        *inputs.notes,
                        *_other_versions(self.manifest, loading),
                        *findings.warnings,
                    )
                )
            ),
        )

    def _verified(self) -> str | None:
        """Return the content hash of a built package that is as it must be."""
        if self.sha256 is None and not (self.folder / MANIFEST_FILE).exists():
            return None
        if verify_content(self.folder, self.sha256) != self.manifest:
            raise PackageError(
                f"a package must stay as it is while it is used, got another manifest in "
                f"{self.folder.name}; load it again"
            )
        return self.sha256 or content_hash(self.folder)


def package_analysis(folder: str | Path, sha256: str | None = None) -> PackageAnalysis:
    """Return the package in a folder as an analysis; nothing of it runs yet.

    Parameters
    ----------
    sha256 : the content hash that it must have; without, a package that was not built will do

    Raises
    ------
    PackageError
        When its manifest does not fit.
    """
    path = Path(folder)
    built = sha256 is not None or (path / MANIFEST_FILE).exists()
    manifest = read_manifest(path) if built else read_source(path)
    values = {
        "name": manifest.name,
        "version": manifest.version,
        "Params": params_model(f"Params of {manifest.name}", manifest.parameters),
        "manifest": manifest,
        "folder": path.resolve(),
        "sha256": sha256,
        "__doc__": manifest.description.en or manifest.title.en,
    }
    analysis: PackageAnalysis = type("LoadedPackage", (PackageAnalysis,), values)()
    return analysis


def installed_versions() -> dict[str, str]:
    """Return the versions of the libraries that may change a result."""
    versions: dict[str, str] = {}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _other_versions(manifest: Manifest, loading: list[str]) -> list[str]:
    here = installed_versions()
    other = [
        f"{name} {built} (here {here[name]})"
        for name, built in manifest.versions.items()
        if name != "bl-steer" and name in here and here[name] != built
    ]
    said = [f"The package was built with {', '.join(other)}; numbers may differ."] if other else []
    return [*said, *dict.fromkeys(" ".join(message.split())[:300] for message in loading)]


def _check_inputs(package: str, part: Input, inputs: Inputs) -> None:
    kind, arrays = part.kind, inputs.arrays
    name = f"{part.name} of {package}" if part.name else package
    if not arrays:
        raise ValueError(f"{name} must have something to work on, got nothing; give files")
    shapes = {key: np.shape(array) for key, array in arrays.items()}
    fits = {
        "micrographs": all(len(shape) in (2, 3) for shape in shapes.values()),
        "stack": all(len(shape) == 3 for shape in shapes.values()),
        "map": {"patterns", "x", "y"} <= set(shapes),
        "table": len(set(shapes.values())) == 1 and len(next(iter(shapes.values()))) == 1,
    }[kind]
    if not fits:
        raise ValueError(
            f"{name} must be given a {kind.removesuffix('s')}, got arrays "
            f"{_listed(shapes)}; choose files of that kind"
        )
    missing = [column for column in part.columns if column not in arrays]
    if kind == "table" and missing:
        raise ValueError(
            f"a table for {name} must have the columns "
            f"{', '.join(part.columns)}, got {', '.join(arrays)}; add "
            f"{', '.join(missing)}"
        )


def _listed(shapes: Mapping[str, tuple[int, ...]]) -> str:
    shown = [f"{name} {shape}" for name, shape in list(shapes.items())[:6]]
    return ", ".join(shown) + (", …" if len(shapes) > 6 else "")
