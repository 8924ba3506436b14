"""The breakdown as an image. Needs matplotlib."""

from __future__ import annotations

import importlib
import io
from pathlib import Path
from typing import Any

import numpy as np

from lightpose.errors import ConfigError, MissingPackageError
from lightpose.evaluate.breakdown import KINDS, Breakdown
from lightpose.io.files import write_aside

__all__ = ["check_plot", "plot_breakdown"]

COLORS = ("#2a9d5c", "#8ab17d", "#e9c46a", "#f4a261", "#c8553d")
"""Of the kinds, from good to miss."""


def check_plot(path: str | Path) -> Any:
    """The class Figure of matplotlib, if a plot can be written there.

    Raises MissingPackageError without matplotlib, and ConfigError if it cannot write such a file.
    """
    try:
        figure = importlib.import_module("matplotlib.figure")
        bases = importlib.import_module("matplotlib.backend_bases")
    except ImportError as error:
        raise MissingPackageError("matplotlib", "plot") from error
    kinds = sorted(bases.FigureCanvasBase.get_supported_filetypes())
    if Path(path).suffix.lower().removeprefix(".") not in kinds:
        raise ConfigError(f"a plot cannot be written to {path}; use one of .{', .'.join(kinds)}")
    return figure.Figure


def plot_breakdown(breakdown: Breakdown, path: str | Path) -> None:
    """Write a bar for each joint, split by kind of error, its AP at the end. Raises as `check_plot` does."""
    figure = check_plot(path)(figsize=(9, 1.5 + 0.32 * len(breakdown.joints)), layout="constrained")
    axes = figure.subplots()
    shares = 100 * np.nan_to_num(breakdown.shares)
    left = np.zeros(len(shares))
    for kind, color, share in zip(KINDS, COLORS, shares.T, strict=True):
        axes.barh(breakdown.joints, share, left=left, color=color, label=kind)
        left += share
    for row, ap in enumerate(breakdown.ap):
        axes.text(101, row, "" if np.isnan(ap) else f"AP {100 * ap:.1f}", va="center", fontsize=8)
    axes.set(xlim=(0, 112), xlabel="share of labelled joints of matched people, %")
    axes.invert_yaxis()
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(KINDS), frameon=False)
    content = io.BytesIO()
    figure.savefig(content, format=Path(path).suffix.lower().removeprefix("."), dpi=150)
    write_aside(path, content.getvalue())
