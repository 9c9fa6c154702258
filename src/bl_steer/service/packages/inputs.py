"""Files as the inputs of a package, by the kind that its manifest names.

The same for a test of the package, the command line and a job of the server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bl_steer.protocols import Inputs
from bl_steer.service.packages.manifest import Expectation, InputKind, Manifest

__all__ = ["read_inputs", "read_test_inputs"]


def read_inputs(
    kind: InputKind, paths: Sequence[Path], metadata: Mapping[str, Any] | None = None
) -> Inputs:
    """Return files as inputs.

    Raises
    ------
    ValueError
        When a file cannot be read, or is not of that kind.
    """
    if kind == "micrographs":
        from bl_steer.analysis.segmentation.files import inputs_from_files

        return inputs_from_files(paths, metadata)[0]
    raise ValueError(f"inputs must be micrographs, got {kind!r}")


def read_test_inputs(folder: Path, manifest: Manifest, test: Expectation) -> Inputs:
    """Return the inputs of a package's own test."""
    return read_inputs(manifest.input.kind, [folder / name for name in test.inputs], test.metadata)
