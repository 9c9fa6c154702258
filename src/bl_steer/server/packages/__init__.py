"""Packages: analyses that users bring, reviewed before they run.

A package is a folder: ``package.toml`` that its author writes, a script, weights, and tests. Built,
it also has ``manifest.json``, which names every file with its sha256. What others may run was
checked, approved by someone else, signed, and released (`bl_steer.server.packages.review`); what
runs is exactly that, byte for byte (`bl_steer.server.packages.approval`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bl_steer.server.packages.manifest import Manifest, PackageError

if TYPE_CHECKING:
    from pathlib import Path

    from bl_steer.server.packages.analysis import PackageAnalysis

__all__ = ["Manifest", "PackageError", "package_analysis"]


def package_analysis(folder: str | Path) -> PackageAnalysis:
    """Return the package in a folder as an analysis; see `bl_steer.server.packages.analysis`."""
    from bl_steer.server.packages.analysis import package_analysis as make

    return make(folder)
