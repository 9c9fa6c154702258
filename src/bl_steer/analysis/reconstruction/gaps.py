"""Slices that were lost, put in before planes are: networks know one distance of slices only."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.reconstruction.depths import EvenDepths
from bl_steer.analysis.reconstruction.insertion import train_on_labels
from bl_steer.analysis.reconstruction.specks import without_specks
from bl_steer.analysis.superresolution.decimation import reaches
from bl_steer.analysis.superresolution.training import TrainingSettings
from bl_steer.analysis.superresolution.volume import super_resolve
from bl_steer.protocols import Array, Progress

__all__ = ["FilledStack", "fill_gaps"]

CONTEXT = 3
"""Slices to each side of a gap, as far apart as it is wide, that its network is shown at most."""
NEAR = 0.25
"""Of the gap, by which these may lie elsewhere."""

Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class FilledStack:
    """Label maps without gaps.

    Parameters
    ----------
    labels : (m, H, W), those that were recorded and those that were put in
    depths : of all of them, and of the planes
    put_in : their places among the label maps
    uncertainty : of each that was put in, 0 … 1, (H, W)
    weights_sha256 : of the network that made them; None where there was no gap
    """

    labels: Labels
    depths: EvenDepths
    put_in: tuple[int, ...] = ()
    uncertainty: tuple[NDArray[np.float32], ...] = ()
    weights_sha256: str | None = None

    def doubt(self, uncertainty: NDArray[np.float16]) -> None:
        """Raise the uncertainty of planes (N, H, W) to that of what was put in beside them."""
        z, planes = self.depths.slice_z_nm, self.depths.z_nm
        for place, own in zip(self.put_in, self.uncertainty, strict=True):
            share = np.interp(planes, z[place - 1 : place + 2], (0.0, 1.0, 0.0), left=0, right=0)
            for number in np.flatnonzero(share):
                plane = uncertainty[number]
                np.maximum(plane, (share[number] * own).astype(plane.dtype), out=plane)


def fill_gaps(
    labels: Labels,
    depths: EvenDepths,
    settings: TrainingSettings,
    n_phases: int,
    *,
    speck_px: int,
    progress: Progress | None = None,
) -> FilledStack:
    """Halve each gap, until none is wider than one and a half pitches, by label maps put in.

    Parameters
    ----------
    labels : (n, H, W)
    settings : of the networks that insert planes; a further one learns twice their pitch
    speck_px : of what is put in, as of slices

    Notes
    -----
    Networks that were taught one pitch draw out over a gap what they find, as if it were no wider:
    films in it get holes, and boundaries across it are too few. Stacks without gaps stay as they
    are, and so do those too small to learn from at twice the pitch.
    """
    twice = settings.at_twice_the_pitch()
    if not len(depths.gaps) or not reaches(labels.shape[1:], twice.decimation.pitch_px):
        return FilledStack(labels, depths)
    network = train_on_labels(labels, twice, n_phases, progress)
    maps = list(labels)
    found: dict[float, NDArray[np.float32]] = {}
    while len(gaps := depths.gaps):
        before = int(gaps[0])
        shown = _context(depths.slice_z_nm, before)
        at = shown.index(before)
        # Phases vary with depth: all slices that are shown have others than the two at the gap.
        resolved = super_resolve(network, np.stack([maps[place] for place in shown]), fit_behind=at)
        middle = network.factor * at + network.factor // 2
        z_nm = float(depths.slice_z_nm[before : before + 2].mean())
        found[z_nm] = resolved.uncertainty[middle]
        maps.insert(before + 1, without_specks(resolved.volume[middle], speck_px))
        depths = replace(depths, slice_z_nm=np.insert(depths.slice_z_nm, before + 1, z_nm))
    return FilledStack(
        np.stack(maps),
        depths,
        tuple(int(np.searchsorted(depths.slice_z_nm, z_nm)) for z_nm in sorted(found)),
        tuple(found[z_nm] for z_nm in sorted(found)),
        network.weights_sha256,
    )


def _context(z_nm: Array, before: int) -> list[int]:
    """Return slices as far apart as the two around a gap, these among them, in their order."""
    width = z_nm[before + 1] - z_nm[before]
    sides = []
    for start, sign in ((before, -1), (before + 1, 1)):
        side = [start]
        while len(side) < CONTEXT:
            wanted = z_nm[side[-1]] + sign * width
            nearest = int(np.abs(z_nm - wanted).argmin())
            if abs(z_nm[nearest] - wanted) > NEAR * width:
                break
            side.append(nearest)
        sides.append(side)
    return [*sides[0][::-1], *sides[1]]
