"""The report on a retraining: one page for the reviewer, in each language, that needs no server."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from bl_steer.analysis import segmentation
from bl_steer.server.languages import LANGUAGES, sentence_in, text

__all__ = ["draw_comparison", "draw_training", "write_report"]

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
    report : as `bl_steer.server.retraining.process` makes it
    figures : matplotlib figures
    """
    images = "".join(f'<p><img alt="" src="{_embedded(figure)}"></p>' for figure in figures)
    sections = (
        f'<section lang="{language}">{_section(report, language)}</section>'
        for language in LANGUAGES
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{_say('en', 'title')}</title><style>{STYLE}</style></head>"
        f"<body>{''.join(sections)}{images}</body></html>\n"
    )


def draw_comparison(report: Mapping[str, Any]) -> Figure:
    """Draw both scores with their intervals, and the difference in each micrograph."""
    scores = report["comparison"]
    figure = Figure(figsize=(8.0, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for y, name in enumerate(("champion", "candidate")):
        value, low, high = scores[name]
        ends = None if low is None else [[value - low], [high - value]]
        left.errorbar(value, y, xerr=ends, fmt="o", capsize=4)
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


def draw_training(history: Sequence[Mapping[str, float]]) -> Figure:
    """Draw how the training of the candidate went."""
    figure = Figure(figsize=(8.0, 3.2), layout="constrained")
    segmentation.plot_training(history, ax=figure.subplots())
    return figure


def _section(report: Mapping[str, Any], language: str) -> str:
    """Return what the report says in one language."""

    def say(key: str, **values: object) -> str:
        return _say(language, key, **values)

    scores, counts = report["comparison"], report["counts"]
    models = [
        (say(name), *map(_number, scores[name])) for name in ("champion", "candidate", "difference")
    ]
    values = (scores["champion_iou"], scores["candidate_iou"])
    phases = [
        (name, _number(first), _number(other))
        for name, first, other in zip(report["phases"], *values, strict=True)
    ]
    pairs = {"train": counts["train"], "validation": counts["validation"]}
    facts = [
        (say("snapshot"), report["snapshot"][:16]),
        (say("champion_weights"), report["champion_weights"][:16]),
        (say("candidate_weights"), report["candidate_weights"][:16]),
        (say("pairs"), say("pairs_of", **pairs, held=counts["hold-out"])),
        (say("steps"), say("steps_of", done=report["steps_done"], steps=report["steps"])),
        (say("duration"), f"{report['duration_s']:.0f} s"),
    ]
    if films := report.get("film_log_odds"):  # earlier reports have none
        facts.append((say("films"), ", ".join(f"{name} {odds:g}" for name, odds in films.items())))
    return (
        f"<h1>{say('title')}</h1><p><strong>{say('verdict.' + scores['verdict'])}</strong> "
        f"{say('lead', held=len(report['hold_out']))} "
        f"{say('no_interval' if scores['difference'][1] is None else 'bootstrap')}</p>"
        + _table((say("model"), say("miou"), say("from"), say("to")), models)
        + _table((say("phase"), say("champion"), say("candidate")), phases)
        + _table(("", ""), facts)
        + _left_out(report, language)
        + _notes(report, language)
    )


def _notes(report: Mapping[str, Any], language: str) -> str:
    """Return how the masks were read, where there is something to say of it."""
    rows = report.get("notes", ())
    lines = _lines([(row["name"], row["note"]) for row in rows], language)
    return f"<h2>{_say(language, 'notes')}</h2>{lines}" if rows else ""


def _left_out(report: Mapping[str, Any], language: str) -> str:
    """Return which pairs neither trained nor judged, and why; nothing where all did."""
    rows = [(row["name"], row["reason"]) for row in report["left_out"]]
    if not rows:
        return ""
    words = _say(language, "left_out_lead", number=len(rows))
    return f"<h2>{_say(language, 'left_out')}</h2><p>{words}</p>{_lines(rows, language)}"


def _lines(rows: Sequence[tuple[str, str]], language: str) -> str:
    """Return what the library says of each file, in one language."""
    lines = (f"{name}: {sentence_in(language, said)}" for name, said in rows)
    return f"<ul>{''.join(f'<li>{html.escape(line)}</li>' for line in lines)}</ul>"


def _say(language: str, key: str, **values: object) -> str:
    return text(language, f"retraining.{key}", **values)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    lines = "".join(
        f"<tr><td>{html.escape(row[0])}</td>"
        + "".join(f'<td class="n">{html.escape(cell)}</td>' for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return f"<table><tr>{cells}</tr>{lines}</table>"


def _embedded(figure: Any) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _number(value: float | None) -> str:
    return "–" if value is None or value != value else f"{value:.4f}"


def _short(name: str) -> str:
    return name if len(name) <= 24 else f"{name[:21]}…"
