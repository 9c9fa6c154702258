"""The report of a reconstruction: one HTML file that opens anywhere, and its tables as CSV.

Everything is inside the file: pictures as PNG, charts as SVG, no script, nothing from a network.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from bl_steer import plotting
from bl_steer.analysis.reconstruction import figures
from bl_steer.analysis.reconstruction.comparison import Reconstruction
from bl_steer.analysis.reconstruction.measures import CONVENTIONAL, SUPERRESOLVED, TRUTH
from bl_steer.analysis.reconstruction.rendering import can_render, render
from bl_steer.analysis.reconstruction.report_cards import cards_of
from bl_steer.analysis.reconstruction.report_tables import compared, rows_of
from bl_steer.analysis.reconstruction.section import panels_of
from bl_steer.analysis.segmentation.phases import Phases
from bl_steer.files.atomic import draft_of, write_whole
from bl_steer.processing.digest import digest_of
from bl_steer.processing.result_folder import write_table
from bl_steer.protocols import AnalysisResult, Table

__all__ = ["write_report"]

TEMPLATE = Path(__file__).with_name("report.html")
CHART_IN = (4.0, 3.1)
PANEL_IN = 2.9
"""Width of a chart and of a panel, so that their text can be read on a narrow screen."""
SEEN = {
    "slices as recorded": "Grey levels, aligned; each slice as thick as its distance.",
    "conventional": "Phases of the slices, each as a thick slab.",
    "Lanczos and threshold": "Grey levels interpolated along z, then thresholds.",
    "super-resolved": "Planes between the slices by networks that learnt from the slices.",
    "truth": "What the simulator knows to be there.",
    "uncertainty": "How far xz and yz sections disagree; bright: unsure.",
}
"""What panels and renderings of these names show."""


def write_report(
    result: AnalysisResult,
    tables: Mapping[str, Table],
    folder: Path,
    *,
    title: str = "Slices into structure",
    about: Mapping[str, str] | None = None,
    truth: NDArray[np.uint8] | None = None,
) -> list[Path]:
    """Write ``report.html``, ``figure_5.png`` and a CSV for each table into a folder.

    Parameters
    ----------
    result : of the analysis ``reconstruct``
    tables : its own, or those of `bl_steer.analysis.reconstruction.comparison.tables_with_truth`
    folder : made if it is missing
    about : what else is known, as rows of the last table: run, date, specimen
    truth : (N, H, W), phases at the depths of the result's planes, where a simulator knows them

    Returns
    -------
    paths of the files, the report first

    Raises
    ------
    bl_steer.files.atomic.UnwritableError
        When there is no room or no leave to write.
    """
    with plotting.with_japanese():
        page = _page(result, tables, truth, title, about or {})
    path = folder / "report.html"
    write_whole(path, page.encode())
    drawing = folder / "figure_5.png"
    with draft_of(drawing) as draft, plotting.with_japanese():
        figures.draw_figure_5(result, truth).savefig(draft, dpi=170)
    return [
        path,
        drawing,
        *(write_table(table, folder / f"{name}.csv") for name, table in tables.items()),
    ]


def _page(
    result: AnalysisResult,
    tables: Mapping[str, Table],
    truth: NDArray[np.uint8] | None,
    title: str,
    about: Mapping[str, str],
) -> str:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    phases = Phases.from_list(list(result.provenance["phases"]))
    shown = AnalysisResult(tables, result.arrays, result.provenance)
    return environment.from_string(TEMPLATE.read_text()).render(
        title=title,
        facts=_facts(result),
        cards=cards_of(result, tables),
        warnings=list(result.warnings),
        phases=[(phase.name, "#{:02x}{:02x}{:02x}".format(*phase.show)) for phase in phases],
        renderings=_renderings(result, phases, truth),
        panels=_panels(result, phases, truth),
        table_1=compared(tables["table_1"]),
        table_2=compared(tables["table_2"]),
        has_truth=truth is not None,
        scores=rows_of(tables.get("scores")),
        amounts_1=_chart("plot_amounts", tables["table_1"], label="volume (µm³)", legend=True),
        amounts_2=_chart("plot_amounts", tables["table_2"], label="contact area (µm²)"),
        leave_out=_chart("plot_leave_out", tables.get("leave_out")),
        correlation=_chart("plot_correlation", shown),
        shells=_chart("plot_shells", shown),
        depths=_chart("plot_depths", tables["slices"]),
        chords=rows_of(tables["isotropy_chords"]),
        lines=rows_of(tables["triple_lines"]),
        connectivity=rows_of(tables["connectivity"]),
        about={
            **about,
            "digest": digest_of(result),
            "segmentation": f"{result.provenance['model']}, weights {result.provenance['weights']}",
            "super-resolution": f"weights {result.provenance['superresolution_weights']}",
            "parameters": ", ".join(
                f"{key} {value}"
                for key, value in result.provenance["params"].items()
                if value is not None
            ),
            "computed in": f"{result.provenance['duration_s']:.0f} s",
        },
    )


def _facts(result: AnalysisResult) -> str:
    n, height, width = result.arrays["volume"].shape
    z, y, x = result.provenance["voxel_nm"]
    box = " × ".join(f"{1e-3 * a * b:.2f}" for a, b in ((n, z), (height, y), (width, x)))
    pitch = result.provenance["pitch_nm"]
    return (
        f"{len(result.arrays['slices'])} slices, {pitch:.0f} nm apart in the median · "
        f"{box} µm (z, y, x) · voxels of {z:.1f} × {y:g} × {x:g} nm"
    )


def _renderings(
    result: AnalysisResult, phases: Phases, truth: NDArray[np.uint8] | None
) -> list[dict[str, str]]:
    if not can_render():
        return []
    reconstruction = Reconstruction.of(result)
    made = reconstruction.volumes()
    volumes = {name: made[name] for name in (CONVENTIONAL, SUPERRESOLVED)}
    if truth is not None:
        known = truth
        volumes[TRUTH] = lambda: known
    return [
        {
            "title": name,
            "seen": SEEN[name],
            "picture": _png(render(volume(), reconstruction.voxel_nm, phases)),
        }
        for name, volume in volumes.items()
    ]


def _panels(
    result: AnalysisResult, phases: Phases, truth: NDArray[np.uint8] | None
) -> list[dict[str, str]]:
    pictures = []
    for panel in panels_of(result, truth):
        width, height = panel.extent_um
        size = (PANEL_IN, (PANEL_IN - 0.65) * height / width + 0.5)  # less what z's numbers take
        figure = Figure(figsize=size, layout="constrained")
        figures.plot_panel(panel, phases, ax=figure.subplots())
        pictures.append(
            {"title": panel.title, "seen": SEEN[panel.title], "picture": _png_of(figure)}
        )
    return pictures


def _chart(name: str, *data: Any, legend: bool = False, **options: Any) -> str:
    """Return a chart of `figures` as SVG."""
    figure = Figure(figsize=CHART_IN, layout="constrained")
    ax = getattr(figures, name)(*data, ax=figure.subplots(), **options)
    ax.set_title("")  # the caption says it
    if legend:
        ax.legend(frameon=False, fontsize="small")
    file = io.StringIO()
    # Names in the SVG follow from its content, so that equal results give equal reports.
    with rc_context({"svg.hashsalt": name, "svg.fonttype": "path"}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    svg = re.sub(r"^.*?<svg", "<svg", file.getvalue(), count=1, flags=re.DOTALL)
    return _data("image/svg+xml", svg.encode())


def _png_of(figure: Figure) -> str:
    file = io.BytesIO()
    figure.savefig(file, dpi=190, format="png", metadata={"Software": None})
    return _data("image/png", file.getvalue())


def _png(picture: NDArray[np.uint8]) -> str:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="PNG", optimize=True)
    return _data("image/png", file.getvalue())


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
