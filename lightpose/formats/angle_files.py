"""Angles as a table and as a plot."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np

from lightpose.results import Angles

__all__ = ["angles_csv", "plot_angles"]

_COLORS = {"left": "#f58a1e", "right": "#28a0ff"}
"""As in drawings: the left side is orange, the right one blue."""


def angles_csv(angles: Angles) -> str:
    """A row for each frame and person: frame, time_s, person, then the angles; an unknown one is empty."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    columns = angles.columns()
    table.writerow(columns)
    texts = [
        [str(value) for value in values.tolist()]
        if name in ("frame", "person")
        else ["" if value != value else f"{value:.{6 if name == 'time_s' else 3}f}" for value in values.tolist()]
        for name, values in columns.items()
    ]
    table.writerows(zip(*texts, strict=True))
    return text.getvalue()


def plot_angles(angles: Angles, figure_class: Any, suffix: str) -> bytes:
    """Angles over time, an axis for each, both sides in one; of several people, each is a line of its own.

    figure_class: matplotlib's Figure. suffix: of the image, such as .png. Without times, frames are the x axis.
    """
    titles = list(dict.fromkeys(name.removeprefix("left_").removeprefix("right_") for name in angles.names))
    figure = figure_class(figsize=(10, 1.6 * max(len(titles), 1)), layout="constrained")
    all_axes = np.ravel(figure.subplots(max(len(titles), 1), sharex=True))
    timed = bool(np.isfinite(angles.time_s).all())
    x = angles.time_s if timed else angles.frame
    for axes, title in zip(all_axes, titles, strict=False):
        for number, name in enumerate(angles.names):
            side, _, rest = name.partition("_")
            if title in (name, rest):
                for person in range(len(angles.ids)):
                    style = ("-", "--", ":", "-.")[person % 4]
                    axes.plot(x, angles.values[:, person, number], style, color=_COLORS.get(side, "#3cdc5a"), lw=1.2)
        axes.set_ylabel(f"{title}, {'°' if angles.unit == 'deg' else '°/s'}", fontsize=8)
        axes.grid(alpha=0.3)
    all_axes[-1].set_xlabel("time, s" if timed else "frame")
    all_axes[0].set_title("left: orange, right: blue; people differ in the line", fontsize=8)
    content = io.BytesIO()
    figure.savefig(content, format=suffix.lower().removeprefix("."), dpi=120)
    return content.getvalue()
