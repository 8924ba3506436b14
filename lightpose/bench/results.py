"""Results of benchmarks as tables and json, and held against earlier ones."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightpose.bench.measure import Row
from lightpose.errors import DataError
from lightpose.io.files import read_json, write_aside

__all__ = [
    "Cells",
    "Change",
    "compare",
    "end_to_end_table",
    "fastest",
    "markdown",
    "read_results",
    "speed_table",
    "write_json",
]

Cells = list[list[str]]
"""Lines of a table, the first its titles."""

SAME = ("model", "file", "engine", "precision", "batch", "threads", "input_hw")
"""What two results must agree in to be compared."""

NOISE = 0.05
"""A network is not called slower for less than this, however small the spread: so much comes and goes by itself."""


@dataclass(frozen=True)
class Change:
    """One variant now and before. slower: by more than 5 % and by more than half the spreads of both together.

    elsewhere: the earlier result is of another machine, or of another version of the engine.
    """

    label: str
    before_ms: float
    after_ms: float
    slower: bool
    elsewhere: bool

    @property
    def ratio(self) -> float:
        """Time now over time before."""
        return self.after_ms / self.before_ms


def write_json(rows: Sequence[Row], path: Path) -> None:
    """A json list, one object a row, whole or not at all."""
    write_aside(path, json.dumps([row.to_record() for row in rows], indent=1).encode())


def read_results(path: str | Path) -> list[dict[str, Any]]:
    """Results that `write_json` wrote. Raises DataError if the file holds something else."""
    document = read_json(Path(path))
    if not isinstance(document, list) or not all(map(_is_result, document)):
        raise DataError(f"{path} is not a list of results; write it with lightpose bench --json")
    return document


def compare(before: Sequence[dict[str, Any]], rows: Sequence[Row]) -> list[Change]:
    """The variants that are in both, in the order of the new results; of earlier ones that match, the last counts."""
    known = {_key(old): old for old in before}
    changes = []
    for row in rows:
        new = row.to_record()
        old = known.get(_key(new))
        if old is None:
            continue
        spread = max((old["ms_iqr"] + row.ms_iqr) / 2, NOISE * old["ms_median"])
        elsewhere = any(old.get(name) != new[name] for name in ("machine", "engine_version"))
        slower = row.ms_median - old["ms_median"] > spread
        changes.append(Change(_label(row), old["ms_median"], row.ms_median, slower, elsewhere))
    return changes


def fastest(rows: Sequence[Row]) -> list[Row]:
    """The fastest variant of each network and input size on images of one person."""
    best: dict[tuple[str, tuple[int, int]], Row] = {}
    for row in sorted(rows, key=lambda row: row.ms_median):
        if row.batch == 1:
            best.setdefault((row.model, row.input_hw), row)
    return list(best.values())


def speed_table(rows: Sequence[Row]) -> Cells:
    """A line for each row. × the first: people a second over those of the first row."""
    titles = ["network", "input", "engine", "precision", "threads", "batch", "ms", "± half IQR", "CPU ms", "FPS",
              "FPS flip", "people/s", "× the first", "peak MB"]  # fmt: skip
    lines = [
        [
            _network(row),
            _size(row.input_hw),
            row.engine,
            row.precision,
            str(row.threads or "all"),
            str(row.batch),
            f"{row.ms_median:.2f}",
            f"{row.ms_iqr / 2:.2f}",
            f"{row.cpu_ms_median:.2f}",
            f"{row.fps:.2f}",
            "-" if row.fps_flip is None else f"{row.fps_flip:.2f}",
            "-" if row.people_per_s is None else f"{row.people_per_s:.2f}",
            _times(row.people_per_s, rows[0].people_per_s),
            "-" if row.peak_mb is None else f"{row.peak_mb:.0f}",
        ]
        for row in rows
    ]
    return [titles, *lines]


def _times(value: float | None, first: float | None) -> str:
    return "-" if value is None or first is None else f"{value / first:.2f}"


def end_to_end_table(rows: Sequence[Row]) -> Cells:
    """A line for each number of people that was measured end to end; the titles alone if none was."""
    stages = ("read", "detect", "crop", "network", "decode", "draw", "write")
    lines = [
        [
            row.model,
            row.engine,
            str(whole.people),
            *("-" if (ms := getattr(whole, stage)) is None else f"{ms:.2f}" for stage in stages),
            f"{100 * whole.overhead_share:.0f} %",
            f"{whole.folder_ms:.1f}",
            f"{100 * whole.folder_overhead_share:.0f} %",
            "-" if whole.predict_ms is None else f"{whole.predict_ms:.1f}",
        ]
        for row in rows
        for whole in row.end_to_end
    ]
    return [
        ["network", "engine", "people", *stages, "overhead", "folder ms", "overhead in folder", "with detector ms"],
        *lines,
    ]


def _network(row: Row) -> str:
    """What a table calls it."""
    return row.model if row.file == row.model else f"{row.model} ({Path(row.file).name})"


def markdown(cells: Cells, words: int) -> str:
    """A table in Markdown. words: how many of the first columns are words; the others are numbers."""
    titles, *lines = cells
    rule = ["---" if place < words else "---:" for place in range(len(titles))]
    return "".join(f"| {' | '.join(line)} |\n" for line in (titles, rule, *lines))


def _is_result(row: Any) -> bool:
    if not isinstance(row, dict) or not all(name in row for name in SAME):
        return False
    times = (row.get("ms_median"), row.get("ms_iqr"))
    sound = all(isinstance(ms, int | float) and 0 <= ms < math.inf for ms in times)
    return sound and row["ms_median"] > 0


def _key(row: dict[str, Any]) -> str:
    """The same for results of the same variant, read from a file or new."""
    return json.dumps([row[name] for name in SAME])


def _label(row: Row) -> str:
    named = row.model if row.file == row.model else row.file
    return f"{named} {_size(row.input_hw)} {row.engine} {row.precision}, threads {row.threads}, batch {row.batch}"


def _size(input_hw: tuple[int, int]) -> str:
    return f"{input_hw[0]}x{input_hw[1]}"
