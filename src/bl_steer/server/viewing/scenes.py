"""What the viewer in the browser is told of a view: sizes, layers with their phases, scale."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bl_steer.server.db.tables import Job
from bl_steer.server.errors import Refused
from bl_steer.server.languages import TextKey, result_label, text
from bl_steer.server.viewing.planes import Info, Planes, Stored
from bl_steer.server.viewing.tiles import TILE_PX, VALUES_PX
from bl_steer.server.viewing.views import COLOURS, TRUTH, Layer, ShownPhase, View

__all__ = ["colour_of", "describe_view", "pixel_size_of"]

Colour = tuple[int, int, int]
UNLABELLED = 255


def describe_view(
    view: View,
    open_planes: Callable[[Stored], Planes],
    *,
    base: str,
    language: str,
    phases: Sequence[ShownPhase] = (),
    pixel_size_nm: float | None = None,
    others: Sequence[Mapping[str, str]] = (),
    paint: str = "",
) -> dict[str, Any]:
    """Return what is to be shown, JSON-compatible.

    Parameters
    ----------
    open_planes : gives the values of a file
    base : address that those of the layers begin with
    phases : of the label maps
    pixel_size_nm : goes before what a file says
    others : address and title of views that may stand beside it
    paint : address where its image is painted

    Raises
    ------
    Refused
        When nothing of the view can be shown, or a part of it not at present.
    """
    layers: list[dict[str, Any]] = []
    shapes: Sequence[tuple[int, int]] = ()
    problem: Refused | None = None
    for name, layer in view.layers.items():
        try:
            info = open_planes(layer.stored).info
        except Refused as refused:
            if refused.status == 503:  # it may come at the next look
                raise
            problem = refused
            continue
        own = _shapes(info, layer)
        if not own or (shapes and own != shapes):  # not of this image: it cannot lie over it
            continue
        shapes = own
        pixel_size_nm = pixel_size_nm or info.pixel_size_nm
        layers.append(_layer(name, layer, info, f"{base}/{name}", language, phases))
    if not layers:
        raise problem or Refused(422, "refused.not_shown", reason=TextKey("view.unread"))
    return {
        "name": view.name,
        "sizes": [[width, height] for height, width in shapes],
        "tile": TILE_PX,
        "block": VALUES_PX,
        "pixel_nm": pixel_size_nm,
        "layers": layers,
        "others": list(others),
        "paint": paint if {"image", "labels"} <= {layer["role"] for layer in layers} else "",
    }


def pixel_size_of(job: Job, view: str) -> float | None:
    """Return the edge of the pixels of a view where its job tells, nm."""
    voxels = job.provenance.get("voxels_nm")
    voxel = voxels.get(view) if isinstance(voxels, dict) else job.provenance.get("voxel_nm")
    edge = voxel[-1] if isinstance(voxel, list) and voxel else None
    known = [
        float(size)
        for size in (edge, job.params.get("pixel_size_nm"))
        if isinstance(size, int | float) and 0 < size < 1e9
    ]
    return known[0] if known else None


def colour_of(label: int, phases: Sequence[ShownPhase]) -> Colour:
    """Return the colour in which a label is shown."""
    return phases[label].show if 0 <= label < len(phases) else COLOURS[label % len(COLOURS)]


def _shapes(info: Info, layer: Layer) -> list[tuple[int, int]]:
    if layer.plane is None:
        return list(info.shapes)
    return [info.shapes[layer.plane]] if layer.plane < len(info.shapes) else []


def _layer(
    name: str,
    layer: Layer,
    info: Info,
    address: str,
    language: str,
    phases: Sequence[ShownPhase],
) -> dict[str, Any]:
    role = name.partition("-")[0]
    labels = _labels(role, info, phases)
    if role == "image" and labels:
        role = "labels"
    return {
        "role": role,
        "title": layer.stored.name if name.startswith(TRUTH) else text(language, f"view.{role}"),
        "address": address,
        "dtype": info.dtype,
        "phases": [
            {
                "label": label,
                "name": _name(label, phases, language),
                "colour": colour_of(label, phases),
            }
            for label in labels
        ],
    }


def _labels(role: str, info: Info, phases: Sequence[ShownPhase]) -> list[int]:
    """Return the labels that a layer is shown by; none for what is no label map."""
    if role == "uncertainty" or info.levels is None:
        return []
    if role == "image":
        small = info.levels[-1] < len(COLOURS) or info.levels in ([0, UNLABELLED], [UNLABELLED])
        return info.levels if small and info.dtype != "float32" else []
    return [*range(len(phases))] or info.levels


def _name(label: int, phases: Sequence[ShownPhase], language: str) -> str:
    if 0 <= label < len(phases):
        return result_label(language, "values.phase", phases[label].name)
    return text(language, "view.label", label=label)
