"""Figures of a run, by Matplotlib."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from fedseg.files import atomic_file
from fedseg.run.records import ByClass, Inconsistency

matplotlib.use("Agg")  # no screen is needed, and none is opened

STABLE, UNSTABLE, AFTER = "#4c78a8", "#e45756", "#222222"


def inconsistency_figure(content: Inconsistency) -> Figure:
    """A bar a class, the unstable ones marked, beside a heat map of classes by pairs of clients.

    Args:
        content: of inconsistency.json.
    """
    figure = Figure(figsize=(11, 6), layout="constrained")
    bars, heat = figure.subplots(1, 2, sharey=True, width_ratios=(2, 1 + len(content.pairs)))
    names = list(content.inconsistency)
    places = np.arange(len(names))
    values = _floats(content.inconsistency)
    colours = [UNSTABLE if name in content.unstable else STABLE for name in names]
    bars.barh(places, np.nan_to_num(values), color=colours)
    if after := content.after_augmentation:
        bars.plot(_floats(after), places, "|", color=AFTER, markersize=12, label="with generated")
        bars.legend(loc="lower right")
    bars.set(xlim=(0, 1), xlabel="inconsistency (unstable classes in red)")
    bars.set_yticks(places, names)
    bars.invert_yaxis()

    if not content.pairs:
        heat.set_axis_off()  # of one client
        return figure
    table = np.stack([_floats(pair.iou) for pair in content.pairs], axis=1)
    pairs = [" / ".join(pair.clients) for pair in content.pairs]
    shown = heat.imshow(np.ma.masked_invalid(table), vmin=0, vmax=1, aspect="auto", cmap="viridis")
    heat.set_xticks(np.arange(len(pairs)), pairs, rotation=30, ha="right")
    heat.set_title("IoU between two clients' predictions")
    figure.colorbar(shown, ax=heat)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure atomically; the suffix decides the format."""
    with atomic_file(path) as temporary:
        figure.savefig(temporary, dpi=120)


def _floats(by_class: ByClass) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in by_class.values()])
