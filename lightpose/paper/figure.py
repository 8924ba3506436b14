"""Figure 4 of the paper: AP over speed, the area of a point its FLOPs; as a table and as an image."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lightpose.errors import DataError
from lightpose.evaluate.plot import check_plot
from lightpose.evaluate.record import Record
from lightpose.io.files import read_json, write_aside
from lightpose.paper import facts
from lightpose.paper.protocol import describe, other_data
from lightpose.paper.table import NOT_MEASURED, Row, Table
from lightpose.paper.tables import counted

__all__ = ["MeasuredSpeed", "figure4", "plot_figure4", "read_speeds"]

COLORS = {"paper": "#6c757d", "ours": "#c8553d"}
BORROWED = "our speed at the paper's AP"
POINTS_PER_GFLOP = 18.0
"""Area of a point, in square points."""


@dataclass(frozen=True)
class MeasuredSpeed:
    """Images of one person a second, without and with flip test; None where not measured."""

    network: str
    input_hw: tuple[int, int]
    fps: float | None
    fps_flip: float | None


def read_speeds(paths: Iterable[str | Path]) -> list[MeasuredSpeed]:
    """Speeds from json files, each a list of objects with model, input_hw, fps and fps_flip; the rest is passed over,
    and so are objects with a `batch` other than 1. Raises DataError if a file is something else.
    """
    speeds = []
    for path in map(Path, paths):
        document = read_json(path)
        if not isinstance(document, list):
            raise DataError(f"{path} must be a list of objects with model, input_hw, fps and fps_flip")
        rows = [
            (number, row)
            for number, row in enumerate(document)
            if not isinstance(row, dict) or row.get("batch", 1) == 1
        ]
        speeds += [_speed(f"{path}: row {number}", row) for number, row in rows]
    return speeds


def figure4(records: Sequence[Record], speeds: Sequence[MeasuredSpeed]) -> Table:
    """The networks of Table 1 with the paper's speeds, as far as its text has them, and ours."""
    rows: list[Row] = []
    used: list[MeasuredSpeed] = []
    for (network, size), one in _networks().items():
        label = f"{network} {size[0]}x{size[1]}"
        known = [speed for speed in facts.FPS if (speed.network, speed.input_hw) == (network, size)]
        note = "speed not printed" if not known else "about a third of lpn50's speed" if known[0].about else ""
        fps = known[0].fps if known else None
        rows.append(Row(label, "paper", {"FPS": fps, "AP": one.ap, "FLOPs G": one.gflops}, note))
        mine = [speed for speed in speeds if (speed.network, speed.input_hw) == (network, size)]
        found = [r for r in records if (r.network, r.input_hw, r.gc) == (network, size, True)]
        used += mine
        rows += _ours(label, counted(network, size).paper_gflops, mine, found)
    others = tuple(f"not in this figure: {s.network} {s.input_hw[0]}x{s.input_hw[1]}" for s in speeds if s not in used)
    columns = {"FPS": (1, 1), "FPS flip": (1, 1), "AP": (1, 1), "FLOPs G": (1, 3)}
    title = "Figure 4: AP on COCO val2017, and images of one person a second (the paper's: i7-8700K, six threads)"
    return Table(title, columns, tuple(rows), (*facts.REMARKS["figure4"], *others))


def plot_figure4(table: Table, path: str | Path) -> int:
    """Draw the rows that have a speed and an AP; returns how many. Raises as `check_plot` does.

    A row of ours without an AP is drawn, hollow, at the paper's.
    """
    figure = check_plot(path)(figsize=(8, 5.5), layout="constrained")
    axes = figure.subplots()
    drawn = 0
    for label, rows in _series(table).items():
        if not rows:
            continue
        x, y = [row.cells["FPS"] for row in rows], [row.cells["AP"] for row in rows]
        areas = [POINTS_PER_GFLOP * (row.cells["FLOPs G"] or 0) for row in rows]
        color = COLORS[rows[0].whose]
        face, marker = "none" if label == BORROWED else color, "o" if label == "paper" else "s"
        axes.scatter(x, y, areas, facecolors=face, edgecolors=color, alpha=0.55, marker=marker, label=label)
        side, aligned = (-1, "top") if label == BORROWED else (1, "bottom")
        for row, area in zip(rows, areas, strict=True):
            differs = row.note and (label == "paper" or (label == "ours" and "as in the paper" not in row.note))
            text = f"{row.network}{'*' if differs else ''}" + (f"\n{row.data}" if row.data else "")
            place, away = (row.cells["FPS"], row.cells["AP"]), side * (3 + math.sqrt(area) / 2)
            axes.annotate(text, place, (0, away), textcoords="offset points", ha="center", va=aligned, fontsize=7,
                          color=color)  # fmt: skip
        drawn += len(rows)
    axes.set(xlabel="images of one person a second, no flip test", ylabel="AP, %")
    axes.margins(0.15)
    axes.grid(alpha=0.25)
    axes.legend(title="area: FLOPs by the paper's rule\n*: about, or not measured as in the paper", frameon=False)
    content = io.BytesIO()
    figure.savefig(content, format=Path(path).suffix.lower().removeprefix("."), dpi=150)
    write_aside(path, content.getvalue())
    return drawn


def _series(table: Table) -> dict[str, list[Row]]:
    """The rows with speed and AP by what the legend calls them; those of ours without AP get the paper's."""
    fast = [row for row in table.rows if row.cells.get("FPS") is not None]
    printed = {row.network: row.cells["AP"] for row in table.rows if row.whose == "paper"}
    return {
        **{whose: [row for row in fast if row.whose == whose and row.cells["AP"] is not None] for whose in COLORS},
        BORROWED: [
            replace(row, cells={**row.cells, "AP": printed[row.network]})
            for row in fast
            if row.whose == "ours" and row.cells["AP"] is None
        ],
    }


def _networks() -> dict[tuple[str, tuple[int, int]], facts.Result]:
    """The row of Table 1 of each network and size, the last where there are two."""
    return {(one.network, one.input_hw): one for one in facts.TABLE_1 if one.network and one.input_hw}


def _ours(label: str, gflops: float, speeds: Sequence[MeasuredSpeed], records: Sequence[Record]) -> list[Row]:
    """A row for each speed with each AP; what is missing is None, and said to be."""
    known_speeds: list[MeasuredSpeed | None] = [*speeds] or [None]
    known_records: list[Record | None] = [*records] or [None]
    return [
        Row(
            label,
            "ours",
            {**_speed_cells(speed), **_ap_cell(record), "FLOPs G": gflops},
            _note(speed, record),
            other_data(record, "val2017") if record else "",
        )
        for speed in known_speeds
        for record in known_records
    ]


def _speed_cells(speed: MeasuredSpeed | None) -> dict[str, float | None]:
    return {"FPS": speed.fps, "FPS flip": speed.fps_flip} if speed else {"FPS": None, "FPS flip": None}


def _ap_cell(record: Record | None) -> dict[str, float | None]:
    share = record.figure("ap") if record else None
    return {"AP": None if share is None else 100 * share}


def _note(speed: MeasuredSpeed | None, record: Record | None) -> str:
    if speed is None and record is None:
        return NOT_MEASURED
    accuracy = describe(record, "val2017", "softargmax", 160) if record else f"AP {NOT_MEASURED}"
    return accuracy if speed else f"{accuracy}; speed {NOT_MEASURED}"


def _speed(where: str, row: Any) -> MeasuredSpeed:
    known = isinstance(row, dict) and isinstance(row.get("model"), str) and _is_size(row.get("input_hw"))
    if not known or not all(_is_rate(row.get(name)) for name in ("fps", "fps_flip")):
        raise DataError(f"{where} must have a model, an input_hw of two whole numbers, and fps or fps_flip above 0")
    return MeasuredSpeed(row["model"], (row["input_hw"][0], row["input_hw"][1]), row.get("fps"), row.get("fps_flip"))


def _is_size(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(side) is int and side > 0 for side in value)


def _is_rate(value: Any) -> bool:
    return value is None or (type(value) in (int, float) and 0 < value < math.inf)
