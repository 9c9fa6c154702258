"""The report on a retraining: one page for the reviewer, with figures, that needs no server."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["draw_comparison", "write_report"]

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;margin:1rem 0}"
    "td,th{padding:.2rem .9rem .2rem 0;text-align:left}"
    "td.n{text-align:right;font-variant-numeric:tabular-nums}img{max-width:100%}"
)


def write_report(report: Mapping[str, Any], figures: Sequence[Any]) -> str:
    """Return the page.

    Parameters
    ----------
    report : as `bl_steer.service.retraining.process` makes it
    figures : matplotlib figures
    """
    scores = report["comparison"]
    rows = [
        ("champion", scores["champion"]),
        ("candidate", scores["candidate"]),
        ("difference", scores["difference"]),
    ]
    phases = [
        (name, _number(one), _number(other))
        for name, one, other in zip(
            report["phases"], scores["champion_iou"], scores["candidate_iou"], strict=True
        )
    ]
    facts = [
        ("snapshot", report["snapshot"][:16]),
        ("champion's weights", report["champion_weights"][:16]),
        ("candidate's weights", report["candidate_weights"][:16]),
        ("pairs", ", ".join(f"{n} to {part}" for part, n in report["counts"].items())),
        ("steps", f"{report['steps_done']} of {report['steps']}"),
        ("duration", f"{report['duration_s']:.0f} s"),
    ]
    images = "".join(f'<p><img alt="" src="{_embedded(figure)}"></p>' for figure in figures)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>Retraining: {html.escape(scores['verdict'])}</title><style>{STYLE}</style></head>"
        f"<body><h1>Candidate: {html.escape(scores['verdict'])}</h1>"
        "<p>On the fixed hold-out, which never trains. Mean intersection over union "
        "with 95 % intervals (bootstrap over micrographs and blocks of 64×64 px, the same for "
        "both).</p>"
        + _table(("", "mIoU", "from", "to"), [(n, *map(_number, v)) for n, v in rows])
        + _table(("phase", "champion", "candidate"), phases)
        + images
        + _table(("", ""), facts)
        + "</body></html>\n"
    )


def draw_comparison(report: Mapping[str, Any]) -> Any:
    """Draw both scores with their intervals, and the difference in each micrograph."""
    from matplotlib.figure import Figure

    scores = report["comparison"]
    figure = Figure(figsize=(8.0, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for place, name in enumerate(("champion", "candidate")):
        value, low, high = scores[name]
        left.errorbar(value, place, xerr=[[value - low], [high - value]], fmt="o", capsize=4)
    left.set(yticks=(0, 1), yticklabels=("champion", "candidate"), ylim=(1.6, -0.6))
    left.set(xlabel="mean intersection over union", title="hold-out, 95 % intervals")
    left.locator_params(axis="x", nbins=5)
    changes = scores["by_image"]
    right.axvline(0.0, color="0.6", linewidth=1)
    right.plot(changes, range(len(changes)), "o")
    right.set(
        yticks=range(len(changes)),
        yticklabels=[_short(name) for name in report["hold_out"]],
        xlabel="candidate minus champion",
        title="each micrograph",
    )
    right.invert_yaxis()
    return figure


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = "".join(f"<th>{html.escape(one)}</th>" for one in head)
    lines = "".join(
        f"<tr><td>{html.escape(row[0])}</td>"
        + "".join(f'<td class="n">{html.escape(cell)}</td>' for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return f"<table><tr>{cells}</tr>{lines}</table>"


def _embedded(figure: Any) -> str:
    made = io.BytesIO()
    figure.savefig(made, format="png", dpi=110)
    return f"data:image/png;base64,{base64.b64encode(made.getvalue()).decode()}"


def _number(value: float | None) -> str:
    return "–" if value is None or value != value else f"{value:.4f}"


def _short(name: str) -> str:
    return name if len(name) <= 24 else f"{name[:21]}…"
