"""`lightpose paper`: the paper's tables beside what is counted and measured here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from lightpose.errors import ConfigError, MissingPackageError
from lightpose.io.files import check_place

__all__ = ["Paper"]

if TYPE_CHECKING:
    from lightpose.paper.table import Table


@dataclass(frozen=True)
class Paper:
    """Print a table of the paper with our numbers under its own.

    Parameters and FLOPs are counted on the spot; accuracies come from the files given, and what is in none is called
    not measured. A row says in what it was not measured as in the paper. Needs `pip install 'lightpose[train]'`.

    lightpose evaluate --protocol paper … --report lpn50.json; lightpose paper table1 --results lpn50.json
    """

    what: Positional[Literal["table1", "table2", "table3", "table4", "table5", "figure4"]]
    """1: COCO val2017. 2: test-dev. 3: global context. 4: stages. 5: decoders. figure4: AP over speed."""
    results: tuple[Path, ...] = ()
    """Records: of lightpose evaluate --report, or of lightpose ablate --json. For table4 runs' folders or log.json."""
    bench: tuple[Path, ...] = ()
    """For figure4: json lists of objects with model, input_hw, fps and fps_flip."""
    out: Path = Path("figure4.png")
    """For figure4: the image to write, .png, .svg or .pdf. Needs matplotlib."""
    json: bool = False
    """Print one json object instead of text."""

    def run(self) -> int:
        """0 once the table is printed."""
        if self.bench and self.what != "figure4":
            raise ConfigError(f"speeds are for figure4; {self.what} has none, so leave --bench out")
        try:
            import lightpose.weights.cost  # noqa: F401  (counts with torch)
        except ImportError as error:
            raise MissingPackageError("torch", "train") from error
        table = self._figure() if self.what == "figure4" else self._table()
        print(table.to_json() if self.json else table.to_text())
        return 0

    def _figure(self) -> Table:
        from lightpose.evaluate.plot import check_plot
        from lightpose.evaluate.record import read_records
        from lightpose.paper.figure import figure4, plot_figure4, read_speeds

        check_place(self.out)  # before the work
        check_plot(self.out)
        table = figure4(read_records(self.results), read_speeds(self.bench))
        drawn = plot_figure4(table, self.out)
        return replace(table, remarks=(*table.remarks, f"drawn to {self.out}: {drawn} points with speed and AP"))

    def _table(self) -> Table:
        from lightpose.evaluate.record import read_records
        from lightpose.paper import tables
        from lightpose.paper.stages import read_log

        if self.what == "table4":
            return tables.table4([read_log(path) for path in self.results])
        makers = {"table1": tables.table1, "table2": tables.table2, "table3": tables.table3, "table5": tables.table5}
        return makers[self.what](read_records(self.results))
