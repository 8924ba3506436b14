"""`lightpose profile`: what networks cost."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from lightpose.cli.console import SafeConsole
from lightpose.cli.marks import ReadsNamed

__all__ = ["Profile", "parse_size"]

if TYPE_CHECKING:
    from rich.table import Table

    from lightpose.weights.cost import Profile as Cost


@dataclass(frozen=True)
class Profile:
    """Count parameters and operations of networks, and the memory of their activations, for one crop.

    Needs `pip install 'lightpose[train]'`. Example: lightpose profile lpn50 simple50 hrnet_w32
    """

    models: Annotated[Positional[tuple[ReadsNamed, ...]], arg(metavar="MODEL...")]
    """Names of networks (lpn50, simple50, hrnet_w32, …) or weights files (.safetensors or .onnx)."""
    input: str | None = None
    """Height and width of the crop, such as 384x288; 256x192 if not given, or a weights file's own."""
    joints: int | None = None
    """Number of joints; 17 if not given, or a weights file's own."""
    json: bool = False
    """Print a json list, one object a model, instead of a table."""
    layers: bool = False
    """Tell it layer by layer as well."""

    def run(self) -> int:
        """0 once the figures are printed."""
        from lightpose.errors import ConfigError, MissingPackageError

        try:
            from lightpose.weights.cost import profile_model
        except ImportError as error:
            raise MissingPackageError("torch", "train") from error
        if not self.models:
            raise ConfigError("name at least one network or weights file; see lightpose profile --help")
        input_hw = None if self.input is None else parse_size(self.input, "--input")
        costs = [profile_model(model, input_hw, self.joints) for model in self.models]
        if self.json:
            print(json.dumps([_as_json(cost, self.layers) for cost in costs], indent=2))
        else:
            _print_tables(costs, self.layers)
        return 0


def parse_size(text: str, option: str) -> tuple[int, int]:
    """Height and width of "256x192", given to that option."""
    from lightpose.errors import ConfigError

    found = re.fullmatch(r"(\d+)[x×](\d+)", text)
    if not found:
        raise ConfigError(f"{option} must be HEIGHTxWIDTH, such as 256x192, not {text!r}")
    return int(found[1]), int(found[2])


def _as_json(cost: Cost, layers: bool) -> dict[str, Any]:
    table = {"model": cost.model, "input": _size(cost.input_hw), **asdict(cost)}
    del table["input_hw"]
    if not layers:
        del table["layers"]
    return table


def _size(sides: tuple[int, ...]) -> str:
    return "x".join(str(side) for side in sides)


def _print_tables(costs: list[Cost], layers: bool) -> None:
    console = SafeConsole(width=None if sys.stdout.isatty() else 120)
    for cost in costs if layers else []:
        console.print(_layer_table(cost))
    console.print(_table(costs))


def _new_table(titles: tuple[str, ...], title: str | None = None) -> Table:
    """A table whose first column is words and whose other ones are numbers."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE, title=title)
    for number, name in enumerate(titles):
        table.add_column(name, justify="right" if number else "left", overflow="fold", no_wrap=number > 0)
    return table


def _table(costs: list[Cost]) -> Table:
    table = _new_table(("model", "input", "joints", "parameters", "paper's\nGFLOPs", "GMACs", "peak\nMB"))
    table.caption = "paper's GFLOPs: its own rule, over 2³⁰; GMACs: true, over 10⁹; peak: activations in float32"
    for cost in costs:
        table.add_row(
            cost.model,
            _size(cost.input_hw),
            str(cost.joints),
            f"{cost.parameters:,}",
            f"{cost.paper_gflops:.4f}",
            f"{cost.macs / 1e9:.4f}",
            f"{cost.activation_bytes / 1e6:.1f}",
        )
    return table


def _layer_table(cost: Cost) -> Table:
    titles = ("layer", "kind", "output", "parameters", "paper's\nMFLOPs", "MMACs")
    table = _new_table(titles, f"{cost.model} {_size(cost.input_hw)}")
    for layer in cost.layers:
        paper, true = f"{layer.paper_gflops * 1024:,.2f}", f"{layer.macs / 1e6:,.2f}"
        table.add_row(layer.name or "(all)", layer.kind, _size(layer.output[1:]), f"{layer.parameters:,}", paper, true)
    return table
