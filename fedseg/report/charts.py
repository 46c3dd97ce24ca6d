"""Curves of the losses, as SVG that takes its colours from the page."""

import io
import re
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from fedseg.config import GLOBAL
from fedseg.files import read_json
from fedseg.report.heat import model_title
from fedseg.run.folder import Run

TEXT, GRID = "#010101", "#020202"
LINES = ("#3b78c9", "#d0691c", "#2f9162", "#a9509b", "#8b7326", "#6f7b88")
"""Legible on white and on black."""
PAGE_COLOURS = {TEXT: "var(--text)", GRID: "var(--line)"}
"""What stands for what in the drawing: a page in dark mode has others."""
SETTINGS: Any = {"svg.fonttype": "none", "svg.hashsalt": "fedseg", "font.size": 10.5}


def loss_charts(run: Run, clients: list[str]) -> dict[str, str]:
    """Charts of what was recorded: title -> inline SVG.

    One for the trainings on labels and one for the distillations, because their losses can't be
    compared.

    Args:
        run: the run folder.
        clients: names, in order.
    """
    curves = {path.stem: read_json(path) for path in sorted(run.curves.glob("[!.]*.json"))}
    charts = {
        "Training on labels: cross-entropy": [*clients, "centralized"],
        "Distillation: cross-entropy to the fused clients": [GLOBAL, "feddf"],
    }
    with matplotlib.rc_context(SETTINGS):
        return {
            name: _svg(_figure(lines))
            for name, wanted in charts.items()
            if (lines := {model_title(key): curves[key] for key in wanted if key in curves})
        }


def _figure(lines: dict[str, dict[str, Any]]) -> Figure:
    """Each curve as it is, faint, and its running mean."""
    figure = Figure(figsize=(4.8, 3.0), layout="constrained")
    axes = figure.subplots()
    for place, (name, curve) in enumerate(lines.items()):
        colour = LINES[place % len(LINES)]
        axes.plot(curve["iterations"], curve["loss"], color=colour, alpha=0.3, linewidth=1)
        style = "-" if place < len(LINES) else "--"
        smooth = _running_mean(np.array(curve["loss"]))
        axes.plot(curve["iterations"], smooth, style, color=colour, linewidth=1.8, label=name)
    axes.set(xlabel="iteration", ylabel="loss")
    axes.set_ylim(bottom=0)
    axes.margins(x=0)
    axes.grid(color=GRID, linewidth=0.8)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, colors=TEXT)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(TEXT)
    axes.legend(frameon=False, labelcolor=TEXT, ncols=1 + len(lines) // 5)
    return figure


def _running_mean(values: np.ndarray) -> np.ndarray:
    """The mean over a tenth of the curve around each point, less at its ends."""
    width = len(values) // 20
    sums = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(values))
    first, last = np.maximum(places - width, 0), np.minimum(places + width + 1, len(values))
    return (sums[last] - sums[first]) / (last - first)


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    drawing = re.sub(r"^.*?(?=<svg)", "", buffer.getvalue(), flags=re.DOTALL)
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    for stands, colour in PAGE_COLOURS.items():
        drawing = drawing.replace(stands, colour)
    return drawing
