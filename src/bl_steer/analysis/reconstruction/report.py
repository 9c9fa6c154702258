"""The report of a reconstruction: one HTML file that opens anywhere, and its tables as CSV.

Everything is inside the file: pictures as PNG, charts as SVG, no script, nothing from a network.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.digest import digest_of
from bl_steer.analysis.reconstruction import figures
from bl_steer.analysis.reconstruction.comparison import Reconstruction
from bl_steer.analysis.reconstruction.measures import CONVENTIONAL, SUPERRESOLVED, TRUTH
from bl_steer.analysis.reconstruction.rendering import can_render, render
from bl_steer.analysis.reconstruction.section import panels_of
from bl_steer.analysis.segmentation.files import write_table
from bl_steer.analysis.segmentation.phases import Phases
from bl_steer.drafts import draft_of, write_whole
from bl_steer.protocols import AnalysisResult, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["write_report"]

TEMPLATE = Path(__file__).with_name("report.html")
CHART_IN = (5.2, 3.5)
"""Of a chart, so that its text can be read on a narrow screen."""


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
    bl_steer.drafts.UnwritableError
        When there is no room or no leave to write.
    """
    folder.mkdir(parents=True, exist_ok=True)
    page = _page(result, tables, truth, title, about or {})
    path = folder / "report.html"
    write_whole(path, page.encode())
    drawing = folder / "figure_5.png"
    with draft_of(drawing) as draft:
        figures.draw_figure_5(result, truth).savefig(draft, dpi=170)
    return [
        path,
        drawing,
        *(write_table(one, folder / f"{name}.csv") for name, one in tables.items()),
    ]


def _page(
    result: AnalysisResult,
    tables: Mapping[str, Table],
    truth: NDArray[np.uint8] | None,
    title: str,
    about: Mapping[str, str],
) -> str:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    phases = Phases.from_list(list(result.provenance["phases"]))
    shown = AnalysisResult(tables, result.arrays, result.provenance)
    return environment.from_string(TEMPLATE.read_text()).render(
        title=title,
        facts=_facts(result),
        cards=_cards(result, tables),
        warnings=list(result.warnings),
        phases=[(one.name, "#{:02x}{:02x}{:02x}".format(*one.show)) for one in phases],
        renderings=_renderings(result, phases, truth),
        panels=_panels(result, phases, truth),
        table_1=_beside(tables["table_1"]),
        table_2=_beside(tables["table_2"]),
        has_truth=truth is not None,
        scores=_rows(tables.get("scores")),
        amounts_1=_chart("plot_amounts", tables["table_1"], label="volume (µm³)", legend=True),
        amounts_2=_chart("plot_amounts", tables["table_2"], label="contact area (µm²)"),
        leave_out=_chart("plot_leave_out", tables.get("leave_out")),
        correlation=_chart("plot_correlation", shown),
        shells=_chart("plot_shells", shown),
        depths=_chart("plot_depths", tables["slices"]),
        chords=_rows(tables["isotropy_chords"], phases.names),
        lines=_rows(tables["triple_lines"]),
        connectivity=_rows(tables["connectivity"]),
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
        f"{len(result.arrays['slices'])} slices, {pitch:.0f} nm apart · {box} µm (z, y, x) · "
        f"voxels of {z:.1f} × {y:g} × {x:g} nm"
    )


def _cards(result: AnalysisResult, tables: Mapping[str, Table]) -> list[dict[str, str]]:
    """Return the few numbers that a reader looks for first."""
    cards = []
    if "scores" in tables:
        worst, median = _errors(tables["table_1"]), _errors(tables["table_2"])
        cards += [
            {
                "value": f"{100 * worst.max():.1f} %",
                "text": "largest error of a volume, super-resolved against the truth",
            },
            {
                "value": f"{100 * float(np.median(median)):.1f} %",
                "text": "median error of the contact areas; conventional "
                f"{100 * float(np.median(_errors(tables['table_2'], CONVENTIONAL))):.0f} %",
            },
        ]
    if "leave_out" in tables:
        left = dict(zip(tables["leave_out"]["method"], tables["leave_out"]["miou"], strict=True))
        cards.append(
            {
                "value": f"{left['srram']:.3f}",
                "text": "mean IoU of slices that were left out and predicted; nearest slice "
                f"{left['nearest']:.3f}",
            }
        )
    resolution = result.provenance["resolution_nm"]
    if resolution is not None and np.isfinite(resolution):
        cards.append(
            {"value": f"{resolution:.0f} nm", "text": "resolution at best (Fourier shells)"}
        )
    missing = int((np.asarray(tables["slices"]["plane"]) < 0).sum())
    taken = len(result.arrays["slices"])
    cards.append(
        {
            "value": f"{taken} of {taken + missing}",
            "text": "slices recorded" + (f"; {missing} missing" if missing else ""),
        }
    )
    return cards


def _errors(table: Table, method: str = SUPERRESOLVED) -> NDArray[np.float64]:
    rows = np.asarray(table["method"]) == method
    return np.asarray(np.abs(np.asarray(table["ratio_to_truth"])[rows] - 1))


def _beside(table: Table) -> dict[str, Any]:
    """Return table 1 or 2 with a row for each quantity and a column for each method."""
    keys = list(table)
    rows: dict[str, dict[str, dict[str, str]]] = {}
    ratios: dict[str, str] = {}
    for k, (quantity, method) in enumerate(zip(table["quantity"], table["method"], strict=True)):
        value, low, high = (float(table[key][k]) for key in keys[2:5])
        off = float(table["ratio_to_truth"][k])
        rows.setdefault(str(quantity), {})[str(method)] = {
            "value": _number(value),
            "interval": f"{low:.3g} … {high:.3g}" if np.isfinite(low + high) else "",
            "off": "" if method == TRUTH or not np.isfinite(off) else _percent(off - 1),
        }
        if method == SUPERRESOLVED:
            ratios[str(quantity)] = f"{float(table['ratio_to_conventional'][k]):.3f}"
    return {"methods": list(next(iter(rows.values()))), "rows": rows, "ratios": ratios}


def _percent(share: float) -> str:
    return f"{100 * share:+.1f} %".replace("-", "−")


def _rows(table: Table | None, names: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a table as text; `names` are those of the numbers in a column ``phase``."""
    if table is None:
        return {"head": [], "rows": []}
    columns = {
        key: [names[int(value)] for value in column]
        if names and key == "phase"
        else [_number(value) for value in np.asarray(column).tolist()]
        for key, column in table.items()
        if not key.endswith(("label", "_least_um", "_largest_um"))
    }
    head = [_words(key) for key in columns]
    return {"head": head, "rows": list(zip(*columns.values(), strict=True))}


def _words(key: str) -> str:
    """Return a column's name as words.

    >>> _words("length_low_um"), _words("length_per_volume_1_um2")
    ('length low (µm)', 'length per volume (1/µm²)')
    """
    units = {"1_um2": "1/µm²", "1_um": "1/µm", "um3": "µm³", "um2": "µm²", "um": "µm", "nm": "nm"}
    for ending, unit in units.items():
        if key.endswith(f"_{ending}"):
            return f"{key.removesuffix(f'_{ending}').replace('_', ' ')} ({unit})"
    return key.replace("_", " ").replace("miou", "mean IoU")


def _number(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    if not np.isfinite(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _renderings(
    result: AnalysisResult, phases: Phases, truth: NDArray[np.uint8] | None
) -> list[dict[str, str]]:
    if not can_render():
        return []
    made = Reconstruction.of(result)
    volumes = {
        "conventional: slices as thick slabs": made.volumes()[CONVENTIONAL](),
        "super-resolved": made.volume,
    }
    if truth is not None:
        volumes["truth"] = truth
    return [
        {"title": name, "picture": _png(render(volume, made.voxel_nm, phases))}
        for name, volume in volumes.items()
    ]


def _panels(
    result: AnalysisResult, phases: Phases, truth: NDArray[np.uint8] | None
) -> list[dict[str, str]]:
    from matplotlib.figure import Figure

    pictures = []
    for panel in panels_of(result, truth):
        width, height = panel.extent_um
        figure = Figure(figsize=(3.4, 3.4 * height / width + 0.5), layout="constrained")
        figures.plot_panel(panel, phases, ax=figure.subplots())
        pictures.append({"title": panel.title, "picture": _png_of(figure)})
    return pictures


def _chart(name: str, *data: Any, legend: bool = False, **options: Any) -> str:
    """Return a chart of `figures` as SVG."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

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
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="PNG", optimize=True)
    return _data("image/png", file.getvalue())


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
