"""A table of the paper's numbers and ours, line under line, as text and as json."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

from lightpose.evaluate.report import aligned

__all__ = ["NOT_MEASURED", "Row", "Table"]

NOT_MEASURED = "not measured"
"""The note of a row of ours that has counts alone."""


@dataclass(frozen=True)
class Row:
    """Numbers of one network. whose: who says so. cells: by column; None for what is not printed, or not measured.

    note: of ours, what was measured and how that differs from the paper's way. data: the set, if it is another one.
    """

    network: str
    whose: Literal["paper", "ours"]
    cells: dict[str, float | None]
    note: str = ""
    data: str = ""


@dataclass(frozen=True)
class Table:
    """columns: decimals that the paper prints, and that ours are given with. remarks: what to know besides."""

    title: str
    columns: dict[str, tuple[int, int]]
    rows: tuple[Row, ...]
    remarks: tuple[str, ...] = ()

    def to_json(self) -> str:
        """One json object; null for what is not printed or not measured."""
        return json.dumps(asdict(self), indent=1)

    def to_text(self) -> str:
        """Lines for a terminal; a dash for what is not printed or not measured."""
        header, *lines = aligned([["", "", *self.columns], *map(self._cells, self.rows)])
        noted = [f"{line}  ({row.note})" if row.note else line for line, row in zip(lines, self.rows, strict=True)]
        return "\n".join([self.title, "", header, *noted, "", *(f"- {remark}" for remark in self.remarks)]).rstrip()

    def _cells(self, row: Row) -> list[str]:
        ours = row.whose == "ours"
        values = [(row.cells.get(name), decimals[ours]) for name, decimals in self.columns.items()]
        return ["" if ours else row.network, row.whose, *("-" if v is None else f"{v:.{d}f}" for v, d in values)]
