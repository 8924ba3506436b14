"""`lightpose paper`: the paper's tables beside what is counted and measured here, and its figures."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from lightpose.cli.marks import Reads, Writes
from lightpose.errors import ConfigError, MissingPackageError
from lightpose.io.places import Place

__all__ = ["Paper"]

if TYPE_CHECKING:
    from lightpose.paper.table import Table

What = Literal["table1", "table2", "table3", "table4", "table5", "figure1", "figure2", "figure3", "figure4"]
DIAGRAMS = ("figure1", "figure2", "figure3")
"""Figures without measurements."""


@dataclass(frozen=True)
class Paper:
    """Print a table of the paper with our numbers under its own, or draw one of its figures.

    Parameters and FLOPs are counted on the spot; accuracies come from the files given, and what is in none is called
    not measured. A row says in what it was not measured as in the paper. Needs `pip install 'lightpose[train]'`.

    lightpose evaluate --protocol paper … --report lpn50.json; lightpose paper table1 --results lpn50.json
    lightpose paper figure1 --out figure1.svg
    """

    what: Positional[What]
    """Tables 1: COCO val2017. 2: test-dev. 3: global context. 4: stages. 5: decoders. Figures 1: the network. 2: its
    blocks. 3: the learning rate. 4: AP over speed."""
    results: tuple[Reads, ...] = ()
    """Records: of lightpose evaluate --report, or of lightpose ablate --json. For table4 runs' folders or log.json."""
    bench: tuple[Reads, ...] = ()
    """For figure4: json lists of objects with model, input_hw, fps and fps_flip."""
    out: Writes | None = None
    """For a figure: the image to write, .png, .svg or .pdf; else figure1.png and so on. Needs matplotlib."""
    json: bool = False
    """Print one json object instead of text."""

    def run(self) -> int:
        """0 once the table is printed, or the figure drawn."""
        self._check()
        try:
            import lightpose.weights.cost  # noqa: F401  (counts with torch)
        except ImportError as error:
            raise MissingPackageError("torch", "train") from error
        if self.what in DIAGRAMS:
            self._diagram()
            return 0
        table = self._figure4() if self.what == "figure4" else self._table()
        print(table.to_json() if self.json else table.to_text())
        return 0

    def _check(self) -> None:
        if self.bench and self.what != "figure4":
            raise ConfigError(f"speeds are for figure4; {self.what} has none, so leave --bench out")
        if self.results and self.what in DIAGRAMS:
            raise ConfigError(f"records are for tables and figure4; {self.what} has none, so leave --results out")
        if self.out and not self.what.startswith("figure"):
            raise ConfigError(f"{self.what} is printed; leave --out out")

    def _place(self) -> Path:
        """Where the figure goes, checked before the work."""
        from lightpose.evaluate.plot import check_plot

        out = self.out or Path(f"{self.what}.png")
        check_plot(out)
        return out

    def more_writes(self) -> list[Place]:
        """The figure, where no file is named for it."""
        return [Place("--out", Path(f"{self.what}.png"))] if self.what.startswith("figure") and self.out is None else []

    def _diagram(self) -> None:
        from lightpose.models.lpn import lpn50
        from lightpose.paper import diagram
        from lightpose.train.config import OptimConfig, PlanConfig
        from lightpose.train.schedule import learning_rate, moment, total_epochs

        out = self._place()
        if self.what == "figure1":
            diagram.draw_network("LPN-50", diagram.network_stages(lpn50()), out)
        elif self.what == "figure2":
            diagram.draw_blocks(out)
        else:
            plan, optim = PlanConfig("iterative"), OptimConfig()  # the paper's, as in examples/paper.toml
            moments = [moment(plan, optim, epoch) for epoch in range(total_epochs(plan, optim))]
            starts = [epoch for epoch, one in enumerate(moments) if one.first]
            diagram.draw_learning_rate([learning_rate(optim, one.epoch) for one in moments], starts, out)
        print(json.dumps({"drawn": str(out)}) if self.json else f"drawn to {out}")

    def _figure4(self) -> Table:
        from lightpose.evaluate.record import read_records
        from lightpose.paper.figure import figure4, plot_figure4, read_speeds

        out = self._place()
        table = figure4(read_records(self.results), read_speeds(self.bench))
        drawn = plot_figure4(table, out)
        return replace(table, remarks=(*table.remarks, f"drawn to {out}: {drawn} points with speed and AP"))

    def _table(self) -> Table:
        from lightpose.evaluate.record import read_records
        from lightpose.paper import tables
        from lightpose.paper.stages import read_log

        if self.what == "table4":
            return tables.table4([read_log(path) for path in self.results])
        makers = {"table1": tables.table1, "table2": tables.table2, "table3": tables.table3, "table5": tables.table5}
        return makers[self.what](read_records(self.results))
